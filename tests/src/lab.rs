//! A provider and a CA that trusts it, and as much more as the test asks for.

use crate::ca::{self, Ca, Plan};
use crate::dir::Dir;
use crate::idp::{Habit, Idp};
use crate::wire::{Opened, Wire};
use crate::world::World;

/// Parts that belong together; what was started first ends last.
#[derive(Debug)]
pub struct Lab {
    /// The CA.
    pub ca: Ca,
    /// The provider.
    pub idp: Idp,
    /// The folder of it all.
    pub dir: Dir,
}

/// A lab to be.
#[derive(Debug, Default)]
pub struct Builder {
    habit: Habit,
    plan: Plan,
}

impl Builder {
    /// The provider behaves like this one.
    #[must_use]
    pub fn habit(mut self, habit: Habit) -> Self {
        self.habit = habit;
        self
    }

    /// The CA has this name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.plan.name);
        self
    }

    /// The CA has this policy.
    #[must_use]
    pub fn policy(mut self, text: &str) -> Self {
        text.clone_into(&mut self.plan.policy);
        self
    }

    /// Further lines of the issuer's configuration.
    #[must_use]
    pub fn issuer(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.plan.issuer);
        self
    }

    /// Lines of the clients' configuration, in place of the usual scopes.
    #[must_use]
    pub fn client(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.plan.client);
        self
    }

    /// Further sections of the configuration.
    #[must_use]
    pub fn sections(mut self, text: &str) -> Self {
        text.clone_into(&mut self.plan.sections);
        self
    }

    /// P-256 throughout.
    #[must_use]
    pub fn fips(mut self) -> Self {
        "fips".clone_into(&mut self.plan.profile);
        self
    }

    /// HTTPS with a certificate that only the key set vouches for.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.plan.tls = true;
        self
    }

    /// Starts provider and CA.
    pub fn start(self) -> Lab {
        let mut lab = self.prepare();
        lab.ca.serve();
        lab
    }

    /// Starts the provider, and makes the CA without serving it.
    pub fn prepare(self) -> Lab {
        let dir = Dir::new();
        let idp = Idp::start(self.habit);
        let ca = Ca::init(&dir, self.plan, &ca::issuers(&[&idp]));
        Lab { ca, idp, dir }
    }
}

impl Lab {
    /// A generic provider and a CA with [`ca::POLICY`].
    pub fn start() -> Self {
        Lab::builder().start()
    }

    /// Another lab than the usual.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A client of the CA's API.
    pub fn wire(&self) -> Wire {
        self.ca.wire()
    }

    /// A login for a person, opened over the API.
    #[track_caller]
    pub fn login(&self, person: &str) -> Opened {
        self.wire().open(&self.idp, person)
    }

    /// A world for servers and a laptop; `None` where the kernel has none for us.
    pub fn world(&self) -> Option<World> {
        World::new(&self.dir)
    }
}
