//! Chromium without a window, for tests of pages. Tests that need it say so where it is missing.

use crate::place::skipped;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

const WITHOUT_WINDOW: [&str; 4] = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];

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
    fn profile(&self) -> String {
        format!("--user-data-dir={}", self.profile.path().display())
    }

    /// Opens an address and lets `milliseconds` pass for the page.
    pub fn open(&self, address: &str, milliseconds: u32) -> Page {
        let output = Command::new(self.program)
            .args(WITHOUT_WINDOW)
            .args(["--enable-logging=stderr", "--v=0", "--window-size=1280,900", "--dump-dom"])
            .arg(self.profile())
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

    /// Opens a page that goes on living, and can be driven, in a window of that many pixels.
    pub fn live(&self, address: &str, width: u32, height: u32) -> LivePage {
        // Chromium takes commands on descriptor 3 and answers on 4.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1", "sh", self.program])
            .args(WITHOUT_WINDOW)
            .arg(self.profile())
            .args(["--remote-debugging-pipe", "about:blank"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        let mut page =
            LivePage { process, commands, answers, session: Value::Null, number: 0, faults: Vec::new() };
        let target = page.command("Target.createTarget", json!({ "url": "about:blank" }));
        let parameters = json!({ "targetId": target["targetId"], "flatten": true });
        page.session = page.command("Target.attachToTarget", parameters)["sessionId"].clone();
        for domain in ["Runtime.enable", "Page.enable"] {
            page.command(domain, json!({}));
        }
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        page.command("Emulation.setDeviceMetricsOverride", size);
        page.command("Page.navigate", json!({ "url": address }));
        page.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'");
        page
    }
}

/// A page in a browser that runs.
pub struct LivePage {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    session: Value,
    number: u64,
    /// Exceptions, and what was written to the console.
    pub faults: Vec<String>,
}

impl LivePage {
    fn command(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut answer = Vec::new();
            self.answers.read_until(0, &mut answer).unwrap();
            assert_eq!(answer.pop(), Some(0), "the browser has ended");
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            if answer["id"] == self.number {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            if ["Runtime.exceptionThrown", "Runtime.consoleAPICalled"]
                .iter()
                .any(|&event| answer["method"] == event)
            {
                self.faults.push(answer.to_string());
            }
        }
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        self.command("Runtime.evaluate", parameters)["result"]["value"].clone()
    }

    /// Waits for a minute at most until an expression is true.
    #[track_caller]
    pub fn wait_for(&mut self, expression: &str) {
        let start = Instant::now();
        while self.value(expression) != true {
            assert!(start.elapsed() < Duration::from_secs(60), "{expression} is not true after a minute");
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for LivePage {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
