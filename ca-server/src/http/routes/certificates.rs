//! `POST /v1/certificates`: the exchange. The steps are in `issue.rs`.

use jit_ssh_api::issue::CertificateRequest;

use crate::http::problem::Failure;
use crate::http::{Answer, Call, ok, strict};
use crate::issue::{self, IssueInput};

pub(super) async fn post(call: Call) -> Result<Answer, Failure> {
    let request: CertificateRequest = strict::parse(&call.body)?;
    let source = call.source();
    let Call {
        state,
        snapshot,
        now,
        request_id,
        caller,
        ..
    } = call;
    let key = caller.into_key()?;
    let input = IssueInput {
        key,
        request,
        source,
        request_id,
        now,
    };
    let answer = issue::issue(&state, &snapshot, input).await?;
    ok(&answer)
}
