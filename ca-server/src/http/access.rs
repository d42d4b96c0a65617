//! Who may call which route, and how long it may take: one table, and no other way in (A85).
//!
//! A request is compared with the table byte by byte: `//`, `%2e`, a trailing slash or a letter in
//! another case is another path, and another path is nothing. A route that is not here does not
//! exist, and `routes.rs` must have an arm for each one that is, or nothing compiles.

use http::Method;

use crate::policy::Right;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody: it says nothing that is not public, and changes nothing.
    Anyone,
    /// Whoever watches the CA: loopback, the admin socket, `listen.metrics_from`.
    Watcher,
    /// Whoever proves to hold a key; what the key is worth is for the route to find out.
    KeyProof,
    /// A proof by the key of a live login.
    LoginProof,
    /// A proof by the first key of a living host.
    Host,
    /// The same, and a right that the policy gives to the person; or the admin socket.
    Right(Right),
    /// The data folder's owner, over the Unix socket.
    SocketOnly,
}

/// How long a route may take, from an admitted request to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// `limits.answer_time`.
    Answer,
    /// Until there is news for a host, a minute at most, or the CA stops: `host/watch.rs` sees to it
    /// that each host holds one request.
    Held,
    /// As long as it takes: work that is done once and in turn, for the data folder's owner, until
    /// whoever asked is gone.
    Long,
}

macro_rules! routes {
    ($($(#[$doc:meta])* $name:ident = $method:ident $path:literal, $who:expr, $patience:ident;)+) => {
        /// Every route.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Route { $($(#[$doc])* $name,)+ }

        impl Route {
            /// All of them.
            pub const ALL: &'static [Route] = &[$(Route::$name,)+];

            /// Its method.
            pub fn method(self) -> Method {
                match self { $(Route::$name => Method::$method,)+ }
            }

            /// Its path; `{id}` stands for one identifier.
            pub fn path(self) -> &'static str {
                match self { $(Route::$name => $path,)+ }
            }

            /// Who may call it.
            pub fn who(self) -> Who {
                match self { $(Route::$name => $who,)+ }
            }

            /// How long it may take.
            pub fn patience(self) -> Patience {
                match self { $(Route::$name => Patience::$patience,)+ }
            }
        }
    };
}

routes! {
    /// The CA as it introduces itself.
    Discovery = GET "/.well-known/jit-ssh", Who::Anyone, Answer;
    /// CA keys for `TrustedUserCAKeys`.
    TrustUserCa = GET "/v1/trust/user-ca", Who::Anyone, Answer;
    /// The exchange.
    Certificates = POST "/v1/certificates", Who::KeyProof, Answer;
    /// My login.
    OwnLogin = GET "/v1/logins/self", Who::LoginProof, Answer;
    /// Ends my login.
    EndOwnLogin = DELETE "/v1/logins/self", Who::LoginProof, Answer;
    /// Ends all logins of mine.
    EndOwnLogins = DELETE "/v1/logins", Who::LoginProof, Answer;
    /// Announces a sign-in on another machine.
    SignIns = POST "/v1/sign-ins", Who::KeyProof, Answer;
    /// Where that sign-in arrives.
    SignInPage = GET "/sign-in", Who::Anyone, Answer;
    /// What I may have.
    Roles = GET "/v1/roles", Who::LoginProof, Answer;
    /// The ledger's records.
    Audit = GET "/v1/admin/audit", Who::Right(Right::Audit), Answer;
    /// Everybody's logins.
    Logins = GET "/v1/admin/logins", Who::Right(Right::Logins), Answer;
    /// Ends somebody's login.
    EndLogin = DELETE "/v1/admin/logins/{id}", Who::Right(Right::Logins), Answer;
    /// Lets somebody else have an e-mail address or user name.
    FreeName = DELETE "/v1/admin/names", Who::Right(Right::Logins), Answer;
    /// Takes access away.
    Revocations = POST "/v1/admin/revocations", Who::Right(Right::Revoke), Answer;
    /// Lets a person or role have certificates again.
    Unlock = POST "/v1/admin/unlock", Who::Right(Right::Revoke), Answer;
    /// Who and what gets none.
    Locks = GET "/v1/admin/locks", Who::Right(Right::Revoke), Answer;
    /// Which hosts heard of it.
    Receipts = GET "/v1/admin/receipts", Who::Right(Right::Revoke), Answer;
    /// The policy in force.
    Policy = GET "/v1/admin/policy", Who::Right(Right::Policy), Answer;
    /// What it says of a person.
    Explain = POST "/v1/admin/policy/explain", Who::Right(Right::Policy), Answer;
    /// The key set.
    Keys = GET "/v1/admin/keys", Who::Right(Right::Keys), Answer;
    /// Writes a backup on the CA's machine.
    Backup = POST "/v1/admin/backup", Who::SocketOnly, Long;
    /// Invites hosts.
    Invite = POST "/v1/admin/invitations", Who::Right(Right::Hosts), Answer;
    /// Invitations that still count.
    Invitations = GET "/v1/admin/invitations", Who::Right(Right::Hosts), Answer;
    /// An invitation counts no more.
    WithdrawInvitation = DELETE "/v1/admin/invitations/{id}", Who::Right(Right::Hosts), Answer;
    /// A host joins.
    EnrolHost = POST "/v1/hosts", Who::KeyProof, Answer;
    /// The hosts that I may reach.
    ReachableHosts = GET "/v1/hosts", Who::LoginProof, Answer;
    /// A host's certificates, again.
    HostCertificates = POST "/v1/hosts/self/certificates", Who::Host, Answer;
    /// What a host is to trust; held until that changes.
    HostBundle = GET "/v1/hosts/self/bundle", Who::Host, Held;
    /// How a host is, by itself.
    HostReport = POST "/v1/hosts/self/report", Who::Host, Answer;
    /// Every host.
    Hosts = GET "/v1/admin/hosts", Who::Right(Right::Hosts), Answer;
    /// One of them.
    Host = GET "/v1/admin/hosts/{id}", Who::Right(Right::Hosts), Answer;
    /// Revokes a host.
    RevokeHost = DELETE "/v1/admin/hosts/{id}", Who::Right(Right::Hosts), Answer;
    /// Its labels from now on.
    LabelHost = POST "/v1/admin/hosts/{id}/labels", Who::Right(Right::Hosts), Answer;
    /// The process lives.
    Health = GET "/healthz", Who::Anyone, Answer;
    /// The CA can issue.
    Ready = GET "/readyz", Who::Anyone, Answer;
    /// Prometheus.
    Metrics = GET "/metrics", Who::Watcher, Answer;
}

/// What a path and a method mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A route, with the identifier in its path.
    Route(Route, Option<&'a str>),
    /// The path has other methods: these, as `Allow` lists them.
    OtherMethods(String),
    /// No such path.
    Nothing,
}

impl Route {
    /// The identifier in `path`, if it is this route's path.
    fn fits(self, path: &str) -> Option<Option<&str>> {
        match self.path().split_once("{id}") {
            None => (path == self.path()).then_some(None),
            Some((before, after)) => {
                let id = path.strip_prefix(before)?.strip_suffix(after)?;
                is_id(id).then_some(Some(id))
            }
        }
    }
}

/// Finds the route of a request, by its raw path.
pub fn find<'a>(method: &Method, path: &'a str) -> Found<'a> {
    let mut other = None;
    for route in Route::ALL {
        if let Some(id) = route.fits(path) {
            if route.method() == *method {
                return Found::Route(*route, id);
            }
            other = Some(*route);
        }
    }
    match other {
        None => Found::Nothing,
        Some(route) => Found::OtherMethods(allowed(route.path())),
    }
}

/// `Allow` of a path.
fn allowed(path: &str) -> String {
    let of_path = Route::ALL.iter().filter(|route| route.path() == path);
    let methods: Vec<String> = of_path.map(|route| route.method().to_string()).collect();
    methods.join(", ")
}

/// Identifiers in paths: lower-case letters and digits.
fn is_id(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=64).contains(&text.len()) && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use http::Method;

    use super::{Found, Patience, Route, Who, find};

    #[test]
    fn every_route_is_found_by_its_own_path_and_method() {
        for route in Route::ALL {
            let path = route.path().replace("{id}", "abc234");
            let Found::Route(found, id) = find(&route.method(), &path) else {
                panic!("{path}");
            };
            assert_eq!(found, *route);
            assert_eq!(id.is_some(), route.path().contains("{id}"));
        }
    }

    #[test]
    fn a_path_written_another_way_is_nothing() {
        for route in Route::ALL {
            let path = route.path().replace("{id}", "abc234");
            let variants = [
                format!("{path}/"),
                format!("/{path}"),
                format!("{path}%20"),
                format!("{path};x"),
                format!("{path}.json"),
                format!("/.{path}"),
                format!("/v1/..{path}"),
                path.replacen('/', "//", 2),
                path.replace("v1", "V1").replace("healthz", "Healthz"),
                path.replace('-', "%2d").replace('m', "%6d"),
                path.replacen("/", "/%2e/", 1),
                path.to_uppercase(),
            ];
            for variant in variants.iter().filter(|variant| **variant != path) {
                assert_eq!(find(&route.method(), variant), Found::Nothing, "{variant}");
            }
        }
    }

    #[test]
    fn other_methods_are_told_and_do_nothing() {
        let found = find(&Method::POST, "/v1/logins/self");
        assert_eq!(found, Found::OtherMethods("GET, DELETE".to_owned()));
        for route in Route::ALL {
            for method in [Method::HEAD, Method::PUT, Method::OPTIONS] {
                let path = route.path().replace("{id}", "abc234");
                let Found::OtherMethods(allow) = find(&method, &path) else {
                    panic!("{method} {path}");
                };
                let told: HashSet<&str> = allow.split(", ").collect();
                let same_path = Route::ALL.iter().filter(|it| it.path() == route.path());
                let methods: Vec<Method> = same_path.map(|it| it.method()).collect();
                assert_eq!(told, methods.iter().map(Method::as_str).collect());
            }
        }
    }

    /// The expectation, written down a second time: a new route must be decided here too.
    #[test]
    fn what_is_open_to_everybody_is_exactly_this() {
        let open: Vec<&str> = Route::ALL
            .iter()
            .filter(|route| route.who() == Who::Anyone)
            .map(|route| route.path())
            .collect();
        assert_eq!(
            open,
            [
                "/.well-known/jit-ssh",
                "/v1/trust/user-ca",
                "/sign-in",
                "/healthz",
                "/readyz"
            ]
        );
        for route in Route::ALL
            .iter()
            .filter(|route| route.path().contains("/admin/"))
        {
            assert!(
                matches!(route.who(), Who::Right(_) | Who::SocketOnly),
                "{route:?}"
            );
        }
    }

    #[test]
    fn a_request_is_held_only_for_whom_the_ca_knows() {
        let mut held = Route::ALL
            .iter()
            .filter(|route| route.patience() == Patience::Held)
            .peekable();
        assert!(held.peek().is_some());
        for route in held {
            assert!(
                matches!(route.who(), Who::Host | Who::Right(_)),
                "{route:?}"
            );
        }
    }

    #[test]
    fn only_the_owner_of_the_data_can_have_a_request_held_without_limit() {
        let long: Vec<&Route> = Route::ALL
            .iter()
            .filter(|route| route.patience() == Patience::Long)
            .collect();
        assert_eq!(long, [&Route::Backup]);
        assert!(long.iter().all(|route| route.who() == Who::SocketOnly));
    }
}
