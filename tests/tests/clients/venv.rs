//! Packages from PyPI, unmodified, in virtual environments below the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

fn done(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

fn make(name: &str, module: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let python = venv.join("bin/python");
    if done(Command::new(&python).args(["-c", &format!("import {module}")])).is_err() {
        done(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        done(Command::new(&python).args(pip).args(packages))?;
    }
    Ok(python)
}

/// A Python that has these packages, of which `module` is one. `None`, said aloud, where there is no Python or PyPI: a bare
/// machine need not have them; the gate must.
#[expect(clippy::print_stderr, reason = "a test that is left out must be seen to be")]
pub(crate) fn python(name: &str, module: &str, packages: &[&str]) -> Option<PathBuf> {
    match make(name, module, packages) {
        Ok(python) => Some(python),
        Err(error) => {
            assert!(std::env::var_os("PYTHON_REQUIRED").is_none(), "{error}");
            eprintln!("NOT RUN: no Python with {packages:?}: {error}");
            None
        }
    }
}
