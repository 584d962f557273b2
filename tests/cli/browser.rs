//! Chromium without a window, for tests of pages. Tests that need it say so where it is missing.

use crate::place::skipped;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

pub struct Browser {
    program: &'static str,
    profile: TempDir,
}

/// A page as it is after its scripts have run.
#[derive(Debug)]
pub struct Page {
    pub html: String,
    /// What it wrote to the console: errors among others.
    pub console: Vec<String>,
}

pub fn browser(test: &str) -> Option<Browser> {
    let runs = |program: &&&str| {
        let version =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    let Some(program) = PROGRAMS.iter().find(runs) else {
        skipped(test, "there is no Chromium; `apt-get install chromium` brings it");
        return None;
    };
    Some(Browser { program, profile: TempDir::new().unwrap() })
}

impl Browser {
    /// Opens an address and lets `milliseconds` pass for the page.
    pub fn open(&self, address: &str, milliseconds: u32) -> Page {
        let output = Command::new(self.program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--enable-logging=stderr", "--v=0", "--window-size=1280,900", "--dump-dom"])
            .arg(format!("--user-data-dir={}", self.profile.path().display()))
            .arg(format!("--virtual-time-budget={milliseconds}"))
            .arg(address)
            .output()
            .unwrap();
        let console = String::from_utf8_lossy(&output.stderr);
        let console = console.lines().filter(|line| line.contains("CONSOLE")).map(str::to_string);
        let page = Page { html: String::from_utf8(output.stdout).unwrap(), console: console.collect() };
        assert!(page.html.contains("</html>"), "{address}: {}", String::from_utf8_lossy(&output.stderr));
        page
    }
}
