//! Every route: one line each. A route parses, calls the core, and answers; who may call it was
//! decided before, by `access.rs`.

use crate::http::access::Route;
use crate::http::problem::Failure;
use crate::http::{Answer, Call};

mod audit;
mod backup;
mod certificates;
mod discovery;
mod health;
mod hosts;
mod keys;
mod logins;
mod policy;
mod revocations;
mod roles;
pub(crate) mod sign_ins;

/// Calls the route's handler.
pub(super) async fn call(route: Route, call: Call) -> Result<Answer, Failure> {
    match route {
        Route::Discovery => discovery::get(&call),
        Route::TrustUserCa => keys::trust_user_ca(&call),
        Route::Certificates => certificates::post(call).await,
        Route::OwnLogin => logins::own(&call),
        Route::EndOwnLogin => logins::end_own(&call).await,
        Route::EndOwnLogins => logins::end_all_own(&call).await,
        Route::SignIns => sign_ins::post(&call),
        Route::SignInPage => sign_ins::page(&call),
        Route::Roles => roles::get(&call),
        Route::Audit => audit::get(&call).await,
        Route::Logins => logins::list(&call).await,
        Route::EndLogin => logins::end(&call).await,
        Route::FreeName => logins::free_name(&call).await,
        Route::Revocations => revocations::post(&call).await,
        Route::Unlock => revocations::unlock(&call).await,
        Route::Locks => revocations::locks(&call).await,
        Route::Receipts => revocations::receipts(&call).await,
        Route::Policy => policy::get(&call).await,
        Route::Explain => policy::explain(&call).await,
        Route::Keys => keys::get(&call).await,
        Route::Backup => backup::post(&call).await,
        Route::Invite => hosts::invite(&call).await,
        Route::Invitations => hosts::invitations(&call).await,
        Route::WithdrawInvitation => hosts::withdraw(&call).await,
        Route::EnrolHost => hosts::enrol(&call).await,
        Route::ReachableHosts => hosts::reachable(&call),
        Route::HostCertificates => hosts::certificates(&call).await,
        Route::HostBundle => hosts::bundle(&call).await,
        Route::HostReport => hosts::report(&call),
        Route::Hosts => hosts::list(&call).await,
        Route::Host => hosts::show(&call).await,
        Route::RevokeHost => hosts::revoke(&call).await,
        Route::LabelHost => hosts::label(&call).await,
        Route::Health => health::live(),
        Route::Ready => health::ready(&call),
        Route::Metrics => health::metrics(&call),
    }
}
