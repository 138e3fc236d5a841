//! `docker compose up`, for real, where a Docker engine is: four containers mine and agree, one is cut off with
//! `docker network disconnect`, both sides mine on, it comes back, and all agree.
//!
//! No registry is asked: the image is made of the program that the tests built and the libraries it is linked with.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tine_tests::devnet::NAMES;
use tine_tests::process::{program, wait_for};

const PROJECT: &str = "tinetest";
const IMAGE: &str = "tine:test";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_owned()
}

fn docker(args: &[&str]) -> Output {
    Command::new("docker").args(args).output().expect("docker was there a moment ago")
}

/// `docker compose`, or the older `docker-compose`.
fn compose_command() -> Option<Vec<&'static str>> {
    for command in [vec!["docker", "compose"], vec!["docker-compose"]] {
        let version = Command::new(command[0]).args(&command[1..]).arg("version").output();
        if version.is_ok_and(|output| output.status.success()) {
            return Some(command);
        }
    }
    None
}

fn compose(command: &[&str], args: &[&str]) -> Output {
    Command::new(command[0])
        .args(&command[1..])
        .args(["-p", PROJECT, "-f"])
        .arg(root().join("docker-compose.yml"))
        .args(args)
        .env("TINE_IMAGE", IMAGE)
        .output()
        .expect("compose was there a moment ago")
}

/// A root file system of the program and the libraries that `ldd` names, and an image of it.
fn build_image() {
    let context = tempfile::tempdir().expect("a temporary folder");
    let rootfs = context.path().join("root");
    install(&program(), &rootfs.join("usr/local/bin/tine"));
    let linked = Command::new("ldd").arg(program()).output().expect("ldd lists the libraries");
    for word in
        String::from_utf8_lossy(&linked.stdout).split_whitespace().filter(|word| word.starts_with('/'))
    {
        install(Path::new(word), &rootfs.join(word.trim_start_matches('/')));
    }
    let dockerfile = "FROM scratch\nCOPY root/ /\nCOPY --chown=1000:1000 data /data\nCOPY --chown=1000:1000 data /tmp\n\
        USER 1000:1000\nVOLUME /data\nSTOPSIGNAL SIGINT\nENTRYPOINT [\"/usr/local/bin/tine\"]\n";
    std::fs::create_dir_all(context.path().join("data")).expect("a folder");
    std::fs::write(context.path().join("Dockerfile"), dockerfile).expect("a file");
    let built = docker(&["build", "-q", "-t", IMAGE, context.path().to_str().expect("a plain path")]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

fn install(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().expect("a folder above")).expect("a folder");
    std::fs::copy(from, to).expect("copied");
}

/// The containers, removed with the test.
struct Running {
    compose: Vec<&'static str>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // nothing to do about a failure here but to leave it to the engine
        let _ = compose(&self.compose, &["down", "-v", "-t", "5"]);
        let _ = docker(&["rmi", "-f", IMAGE]);
    }
}

impl Running {
    fn container(&self, name: &str) -> String {
        let id = compose(&self.compose, &["ps", "-q", name]);
        String::from_utf8_lossy(&id.stdout).trim().to_owned()
    }

    /// Runs `tine rpc METHOD` inside a container.
    fn rpc(&self, name: &str, method: &str) -> Option<String> {
        let container = self.container(name);
        let output = docker(&["exec", &container, "/usr/local/bin/tine", "rpc", "--dir", "/data", method]);
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().trim_matches('"').to_owned())
    }

    fn height(&self, name: &str) -> Option<u64> {
        self.rpc(name, "getblockcount")?.parse().ok()
    }

    fn wait_agreed(&self, height: u64, timeout: Duration) -> u64 {
        wait_for(&format!("four containers to agree at height {height} or above"), timeout, || {
            let tips: Option<Vec<_>> = NAMES.iter().map(|name| self.rpc(name, "getbestblockhash")).collect();
            let tips = tips?;
            let reached = self.height("alice")?;
            (tips.iter().all(|tip| *tip == tips[0]) && reached >= height).then_some(reached)
        })
    }
}

#[test]
fn four_containers_mine_part_and_agree_again() {
    let engine = Command::new("docker").arg("info").output();
    let Some(compose_command) =
        compose_command().filter(|_| engine.is_ok_and(|output| output.status.success()))
    else {
        println!("skipped: no Docker engine with compose on this machine");
        return;
    };
    build_image();
    let running = Running { compose: compose_command };
    let up = compose(&running.compose, &["up", "-d", "--no-build"]);
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));

    let before = running.wait_agreed(3, Duration::from_secs(120));
    for name in NAMES {
        let user =
            docker(&["inspect", "-f", "{{.Config.User}} {{.State.Running}}", &running.container(name)]);
        assert_eq!(
            String::from_utf8_lossy(&user.stdout).trim(),
            "1000:1000 true",
            "{name} runs, and not as root"
        );
    }

    let alice = running.container("alice");
    let network = format!("{PROJECT}_net");
    let cut = docker(&["network", "disconnect", &network, &alice]);
    assert!(cut.status.success(), "{}", String::from_utf8_lossy(&cut.stderr));
    wait_for("both sides to mine on", Duration::from_secs(180), || {
        let (one, other) = (running.height("alice")?, running.height("bob")?);
        (one > before
            && other > before
            && running.rpc("alice", "getbestblockhash") != running.rpc("bob", "getbestblockhash"))
        .then_some(())
    });
    let highest = running.height("alice").max(running.height("bob")).expect("both answer");

    let back = docker(&["network", "connect", "--ip", "172.30.77.10", &network, &alice]);
    assert!(back.status.success(), "{}", String::from_utf8_lossy(&back.stderr));
    running.wait_agreed(highest, Duration::from_secs(120));
}
