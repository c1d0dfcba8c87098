//! A browser without a window, by the DevTools protocol: <https://chromedevtools.github.io/devtools-protocol/>.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::conditions::{PATIENCE, eventually};

/// The programs that can be it, and the variable that may name another one.
const PROGRAMS: [&str; 2] = ["chromium-headless-shell", "chromium"];
const VARIABLE: &str = "CHROMIUM";

/// Connects the pipes of the DevTools protocol, which are the file descriptors 3 and 4, to standard input and output.
const THROUGH_PIPES: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null"#;

const ARGUMENTS: [&str; 8] = [
    "--headless",
    "--remote-debugging-pipe",
    // Its sandbox needs a user who is not root. It opens pages of the test alone.
    "--no-sandbox",
    "--disable-gpu",
    // Containers have little of it.
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
];

/// Chromium with one page. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Browser {
    chromium: Child,
    commands: ChildStdin,
    answers: UnboundedReceiver<Value>,
    session: String,
    last_id: u64,
    complaints: Vec<String>,
    // Behind the program, which writes to it.
    directory: TempDir,
}

impl Browser {
    /// Starts Chromium with an empty page.
    ///
    /// The program is `chromium-headless-shell` or `chromium` from the `PATH`, or what the variable `CHROMIUM` names.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut chromium = spawn(&directory);
        let commands = chromium.stdin.take().unwrap();
        let answers = read(chromium.stdout.take().unwrap());
        let (session, complaints) = (String::new(), Vec::new());
        let mut browser = Self { chromium, commands, answers, session, last_id: 0, complaints, directory };
        let page = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach).await;
        attached["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        for domain in ["Page", "Runtime", "Log", "Accessibility"] {
            browser.call(&format!("{domain}.enable"), json!({})).await;
        }
        browser
    }

    /// Opens `url`, and waits until it is loaded.
    pub async fn open(&mut self, url: &str) {
        let opened = self.call("Page.navigate", json!({ "url": url })).await;
        assert_eq!(opened.get("errorText"), None, "{url}: {opened}");
        self.eventually(&format!("{url} is loaded"), "document.readyState === 'complete'").await;
    }

    /// Gives the page this many pixels.
    pub async fn resize(&mut self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Makes media features, such as `("prefers-color-scheme", "dark")`, what the page is told of its user.
    pub async fn prefer(&mut self, features: &[(&str, &str)]) {
        let features: Vec<_> = features.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Presses a key, such as `("Tab", 9)`: its name, and its code in Windows, which Chromium asks for.
    pub async fn press(&mut self, (key, code): (&str, u32)) {
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// The value of an expression of JavaScript; of a promise, what it becomes.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", asked).await;
        assert_eq!(answer.get("exceptionDetails"), None, "{expression}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression of JavaScript is true. Fails the test, with `what` in its message, when that takes too long.
    pub async fn eventually(&mut self, what: &str, condition: &str) {
        eventually(what, async || self.evaluate(condition).await == json!(true)).await;
    }

    /// What a screen reader is given: role and name of each node that is not ignored, in the order of the page.
    pub async fn accessible(&mut self) -> Vec<(String, String)> {
        let tree = self.call("Accessibility.getFullAXTree", json!({})).await;
        let text = |node: &Value, what: &str| node[what]["value"].as_str().unwrap_or_default().to_owned();
        let nodes = tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] == json!(false));
        nodes.map(|node| (text(node, "role"), text(node, "name"))).collect()
    }

    /// The page as a picture, in PNG and Base64.
    pub async fn screenshot(&mut self) -> String {
        let picture = self.call("Page.captureScreenshot", json!({ "captureBeyondViewport": true })).await;
        picture["data"].as_str().unwrap().to_owned()
    }

    /// Exceptions, errors on the console, violations of a policy and requests that failed, so far.
    #[must_use]
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// Calls a method of the DevTools protocol, and returns its result.
    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let mut command = json!({ "id": self.last_id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        let sent = self.commands.write_all(format!("{command}\0").as_bytes());
        loop {
            let answer = match timeout(PATIENCE, self.answers.recv()).await {
                Ok(Some(answer)) if sent.is_ok() => answer,
                _ => panic!("chromium does not answer {method}:\n{}", self.log()),
            };
            if answer["id"] == json!(self.last_id) {
                assert_eq!(answer.get("error"), None, "{method}");
                return answer["result"].clone();
            }
            self.complaints.extend(complaint(&answer));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.chromium.kill();
        let _ = self.chromium.wait();
    }
}

fn spawn(directory: &TempDir) -> Child {
    let log = File::create(directory.path().join("log")).unwrap();
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", THROUGH_PIPES])
        .arg(program())
        .args(ARGUMENTS)
        .arg(format!("--user-data-dir={}", directory.path().join("profile").display()))
        .arg("about:blank")
        .env("HOME", directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log);
    command.spawn().unwrap()
}

fn program() -> String {
    if let Ok(named) = env::var(VARIABLE) {
        return named;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &&str| env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let found = PROGRAMS.into_iter().find(is_there).map(str::to_owned);
    found.unwrap_or_else(|| {
        let [package, other] = PROGRAMS;
        panic!(
            "there is no {package} and no {other}; install one (Debian: apt-get install {package}), or name its program in \
             the variable {VARIABLE}"
        )
    })
}

/// What the program writes, message by message, read in a thread of its own.
fn read(pipe: ChildStdout) -> UnboundedReceiver<Value> {
    let (sender, receiver) = unbounded_channel();
    thread::spawn(move || {
        for message in BufReader::new(pipe).split(0).map_while(Result::ok) {
            if sender.send(serde_json::from_slice(&message).unwrap()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// What `event` complains of.
fn complaint(event: &Value) -> Option<String> {
    let parameters = &event["params"];
    let is_bad = match event["method"].as_str()? {
        "Runtime.exceptionThrown" => true,
        "Runtime.consoleAPICalled" => ["error", "warning", "assert"].contains(&parameters["type"].as_str()?),
        "Log.entryAdded" => ["error", "warning"].contains(&parameters["entry"]["level"].as_str()?),
        _ => false,
    };
    is_bad.then(|| parameters.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reads_a_page_and_hears_what_it_complains_of() {
        let mut browser = Browser::start().await;
        browser.open("data:text/html,<title>A</title><h1>B</h1><button>C</button>").await;
        assert_eq!(browser.evaluate("document.title").await, json!("A"));
        browser.press(("Tab", 9)).await;
        assert_eq!(browser.evaluate("document.activeElement.textContent").await, json!("C"));
        let named = browser.accessible().await;
        assert!(named.contains(&("heading".to_owned(), "B".to_owned())), "{named:?}");

        assert_eq!(browser.complaints(), [""; 0]);
        browser.evaluate("setTimeout(() => { throw new Error('of the test') }), 0").await;
        eventually("the complaint comes", async || {
            browser.evaluate("0").await;
            browser.complaints().iter().any(|complaint| complaint.contains("of the test"))
        })
        .await;
    }

    #[tokio::test]
    async fn shows_the_page_in_the_width_and_scheme_that_it_is_told() {
        let mut browser = Browser::start().await;
        for (width, scheme) in [(360, "dark"), (1440, "light")] {
            browser.resize(width, 800).await;
            browser.prefer(&[("prefers-color-scheme", scheme)]).await;
            let seen = format!("[innerWidth, matchMedia('(prefers-color-scheme: {scheme})').matches]");
            assert_eq!(browser.evaluate(&seen).await, json!([width, true]));
        }
    }
}
