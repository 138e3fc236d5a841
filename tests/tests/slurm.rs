//! A sweep as a real Slurm array: Debian's own munged, slurmctld and slurmd on loopback, and `deploy/sweep.slurm` as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tine_tests::process::{Tine, free_ports, program, wait_for};

/// Eight cells in four shards.
const PLAN: &str =
    "experiment = 'selfish'\nseed = 11\nblocks = 20000\nalpha = [0.1, 0.2, 0.3, 0.4]\ngamma = [0.0, 1.0]\n";
/// How long the cluster may take to come up, and an array to run.
const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster of one machine; its daemons end with it.
struct Cluster {
    folder: TempDir,
    daemons: Vec<Child>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // the worker first: it takes leave of its controller
        for daemon in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn installed() -> bool {
    let all = ["munged", "slurmctld", "slurmd", "sbatch"];
    let there =
        |name: &&str| ["/usr/sbin", "/usr/bin"].iter().any(|folder| Path::new(folder).join(name).exists());
    let may = rustix::process::geteuid().is_root();
    let ready = may && all.iter().all(there);
    assert!(
        ready || std::env::var_os("SLURM_REQUIRED").is_none(),
        "Slurm and munge must be installed, and run by root"
    );
    ready
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Cluster {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut cluster = Self { folder, daemons: Vec::new() };
        for name in ["state", "spool"] {
            fs::create_dir(cluster.path(name)).expect("a fresh folder");
        }
        fs::write(cluster.path("munge.key"), [7; 1024]).expect("written");
        fs::write(cluster.path("slurm.conf"), cluster.conf()).expect("written");
        let chmod = Command::new("chmod").args(["600"]).arg(cluster.path("munge.key")).status();
        assert!(chmod.is_ok_and(|status| status.success()));
        let option = |name: &str, file: &str| format!("--{name}={}", cluster.path(file).display());
        let files = [("key-file", "munge.key"), ("socket", "munge.sock"), ("pid-file", "munged.pid")];
        let logs = [("log-file", "munged.log"), ("seed-file", "munged.seed")];
        let options: Vec<_> = files.into_iter().chain(logs).map(|(name, file)| option(name, file)).collect();
        cluster.spawn(Command::new("/usr/sbin/munged").args(["--foreground", "--force"]).args(options));
        wait_for("munged", PATIENCE, || cluster.path("munge.sock").exists().then_some(()));
        cluster.spawn(Command::new("/usr/sbin/slurmctld").args(["-D", "-i"]));
        cluster.spawn(Command::new("/usr/sbin/slurmd").args(["-D", "-N", "worker"]));
        let idle = || {
            let state = cluster.command("sinfo").args(["-h", "-o", "%T"]).output().expect("sinfo is there");
            text(&state).trim().starts_with("idle").then_some(())
        };
        wait_for("an idle worker", PATIENCE, idle);
        cluster
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn conf(&self) -> String {
        let (folder, port) = (self.folder.path().display(), free_ports(2, 1));
        let host = text(&Command::new("hostname").arg("-s").output().expect("hostname is there"));
        let (host, worker) = (host.trim(), port + 1);
        format!(
            "ClusterName=tine\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser=root\nSlurmctldPort={port}\nSlurmdPort={worker}\n\
            AuthType=auth/munge\nAuthInfo=socket={folder}/munge.sock\nCredType=cred/munge\n\
            StateSaveLocation={folder}/state\nSlurmdSpoolDir={folder}/spool\n\
            SlurmctldPidFile={folder}/slurmctld.pid\nSlurmdPidFile={folder}/slurmd.pid\n\
            SlurmctldLogFile={folder}/slurmctld.log\nSlurmdLogFile={folder}/slurmd.log\n\
            ProctrackType=proctrack/pgid\nTaskPlugin=task/none\nSelectType=select/cons_tres\n\
            SelectTypeParameters=CR_CPU\nSchedulerType=sched/builtin\nReturnToService=2\nMpiDefault=none\n\
            SlurmdParameters=config_overrides\n\
            NodeName=worker NodeHostname={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN\n\
            PartitionName=all Nodes=worker Default=YES MaxTime=INFINITE State=UP\n"
        )
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.path("slurm.conf")).current_dir(self.folder.path());
        command
    }

    fn spawn(&mut self, command: &mut Command) {
        command.env("SLURM_CONF", self.path("slurm.conf")).stdout(Stdio::null()).stderr(Stdio::null());
        self.daemons.push(command.spawn().expect("it is installed"));
    }

    /// Submits the script of `deploy/` with these options, and waits for all its tasks.
    fn submit(&self, array: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/sweep.slurm");
        let output = self
            .command("sbatch")
            .args(["--wait", "--output=task-%a.txt", array])
            .arg(script)
            .env("SHARDS", "4")
            .env("TINE", program())
            .env("PLAN", self.path("plan.toml"))
            .env("OUT", self.path("results"))
            .output()
            .expect("sbatch is there");
        let tasks: Vec<_> =
            (0..4).filter_map(|index| fs::read_to_string(self.task_file(index)).ok()).collect();
        assert!(output.status.success(), "{}{tasks:?}", text(&output));
    }

    fn task_file(&self, index: usize) -> PathBuf {
        self.path(&format!("task-{index}.txt"))
    }

    fn task(&self, index: usize) -> String {
        fs::read_to_string(self.task_file(index)).expect("it wrote")
    }

    fn merge(&self) -> (i32, String) {
        let [plan, results, csv] = ["plan.toml", "results", "csv"].map(|name| self.path(name));
        let paths = [&plan, &results, &csv].map(|path| path.to_str().expect("a plain path"));
        let (code, out, err) = Tine::run(&["lab", "merge", paths[0], paths[1], "--csv", paths[2]]);
        (code, out + &err)
    }
}

#[test]
fn a_slurm_array_comes_to_what_one_machine_comes_to_though_a_shard_dies() {
    if !installed() {
        eprintln!("skipped: Debian's slurm-wlm and munge are not installed, or this is not root");
        return;
    }
    let cluster = Cluster::start();
    fs::write(cluster.path("plan.toml"), PLAN).expect("written");
    cluster.submit("--array=0-3");
    for index in 0..4 {
        let said = cluster.task(index);
        assert!(said.contains(&format!("shard {index}/4: 2 cells of 8, 2 played")), "{said}");
    }
    // shard 1 had died: of its two cells one is not there and one half-written
    let results = cluster.path("results");
    fs::rename(results.join("cell-000001.json"), results.join("cell-000001.99.part")).expect("it was there");
    let (code, said) = cluster.merge();
    assert!(code == 1 && said.contains("1 of 8 cells are missing, the first is 1"), "{code} {said}");
    cluster.submit("--array=1");
    assert!(cluster.task(1).contains("shard 1/4: 2 cells of 8, 1 played"), "{}", cluster.task(1));
    // an array that is run again as a whole counts nothing twice
    cluster.submit("--array=0-3");
    assert!(cluster.task(3).contains("0 played"), "{}", cluster.task(3));
    let (code, said) = cluster.merge();
    assert_eq!(code, 0, "{said}");
    let alone = cluster.path("alone");
    let alone_path = alone.to_str().expect("a plain path");
    let cells = ["--alpha", "0.1,0.2,0.3,0.4", "--gamma", "0,1", "--blocks", "20000", "--out", alone_path];
    let (_, out, err) = Tine::run(&[&["lab", "selfish", "--seed", "11"][..], &cells].concat());
    for table in ["selfish-share.csv", "selfish-growth.csv"] {
        let read = |folder: &Path| {
            fs::read_to_string(folder.join(table))
                .unwrap_or_else(|error| panic!("{table}: {error} {out}{err}"))
        };
        assert_eq!(read(&cluster.path("csv")), read(&alone), "{table}");
    }
}
