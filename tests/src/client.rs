//! The laptop: a home of its own, the browser that signs in as whoever the test says, plain `ssh`
//! and `jit-ssh`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::browser;
use crate::process::{Output, Run, program};
use crate::sshd::Sshd;
use crate::world::World;

/// A person's machine.
#[derive(Debug)]
pub struct Laptop<'a> {
    world: &'a World,
    home: PathBuf,
    person: String,
    agent: Option<PathBuf>,
    bus: Option<String>,
}

impl<'a> Laptop<'a> {
    /// The laptop of the world, with this person at the browser, and a configuration that knows
    /// nothing but the ports of the servers.
    pub fn new(world: &'a World, person: &str, servers: &[&Sshd]) -> Self {
        let home = world.home().to_owned();
        let ssh = home.join(".ssh");
        fs::create_dir_all(&ssh).unwrap();
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o700)).unwrap();
        let mut config = String::new();
        let mut known = String::new();
        for server in servers {
            config += &format!(
                "Host {name} {address}\n    Port {port}\n",
                name = server.name,
                address = server.address,
                port = server.port
            );
            known += &server.known_host();
        }
        fs::write(ssh.join("config"), config).unwrap();
        fs::write(ssh.join("known_hosts"), known).unwrap();
        Laptop {
            world,
            home,
            person: person.to_owned(),
            agent: None,
            bus: None,
        }
    }

    /// The same laptop later: nothing in its home is touched.
    pub fn again(world: &'a World, person: &str) -> Self {
        Laptop {
            world,
            home: world.home().to_owned(),
            person: person.to_owned(),
            agent: None,
            bus: None,
        }
    }

    /// With an agent.
    #[must_use]
    pub fn with_agent(mut self, socket: &Path) -> Self {
        self.agent = Some(socket.to_owned());
        self
    }

    /// With the session bus at this address: there is a keyring then.
    #[must_use]
    pub fn with_bus(mut self, address: &str) -> Self {
        self.bus = Some(address.to_owned());
        self
    }

    /// The home folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A program of the system, as the person would start it.
    pub fn run(&self, command: impl AsRef<std::ffi::OsStr>) -> Run {
        let mut run = self
            .world
            .run(command)
            .env("HOME", &self.home)
            .env("USER", self.world.own())
            .env("LOGNAME", self.world.own())
            .env("LANG", "C.UTF-8")
            .env("BROWSER", browser::script())
            .env("JIT_SSH_TEST_USER", &self.person)
            .env("JIT_SSH_TEST_BROWSER_LOG", self.home.join("browser.log"));
        for name in [
            "SSH_AUTH_SOCK",
            "DISPLAY",
            "WAYLAND_DISPLAY",
            "DBUS_SESSION_BUS_ADDRESS",
            "XDG_RUNTIME_DIR",
            "XDG_CONFIG_HOME",
            "XDG_STATE_HOME",
            "XDG_DATA_HOME",
            "XDG_CACHE_HOME",
            "SSH_CONNECTION",
        ] {
            run = run.env_remove(name);
        }
        if let Some(socket) = &self.agent {
            run = run.env("SSH_AUTH_SOCK", socket);
        }
        if let Some(bus) = &self.bus {
            run = run.env("DBUS_SESSION_BUS_ADDRESS", bus);
        }
        run
    }

    /// `jit-ssh ARGUMENTS`, not yet started.
    pub fn jit(&self, arguments: &[&str]) -> Run {
        self.run(program("jit-ssh")).args(arguments)
    }

    /// `ssh ARGUMENTS`, in batch mode.
    pub fn ssh(&self, arguments: &[&str]) -> Output {
        self.run("ssh")
            .args(["-o", "BatchMode=yes"])
            .args(arguments)
            .go()
    }

    /// What `ssh -G` says of one keyword, all its values.
    pub fn effective(&self, destination: &str, keyword: &str) -> Vec<String> {
        let said = self.run("ssh").args(["-G", destination]).go().ok();
        said.stdout
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(key, _)| *key == keyword)
            .map(|(_, value)| value.to_owned())
            .collect()
    }

    /// The same laptop with another person at the browser.
    #[must_use]
    pub fn seat(mut self, person: &str) -> Self {
        person.clone_into(&mut self.person);
        self
    }
}
