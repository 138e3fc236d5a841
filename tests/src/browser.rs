//! Debian's Chromium without a window, driven through ChromeDriver as a person would use it: clicks, texts, pictures.

use std::fmt::Debug;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::process::{free_ports, wait_for};

/// How long a page may take to show what is expected of it.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// A browser with one page, closed with the test.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    client: Client,
    runtime: Runtime,
}

/// A command of Chromium's own, beside the W3C's.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    /// Starts one; `None` when there is no ChromeDriver and nobody insists on it with `BROWSER_REQUIRED=1`.
    ///
    /// # Panics
    /// When it does not start, or is missing and required.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(&json!({}), &json!({ "browser": "ALL" }))
    }

    /// Starts one that also keeps what its own tracing says of these categories, until [`Browser::trace`] takes it.
    ///
    /// # Panics
    /// As [`Browser::start`].
    #[must_use]
    pub fn start_traced(categories: &str) -> Option<Self> {
        let tracing = json!({ "perfLoggingPrefs": { "traceCategories": categories, "bufferUsageReportingInterval": 60_000 } });
        Self::start_with(&tracing, &json!({ "browser": "ALL", "performance": "ALL" }))
    }

    #[expect(clippy::print_stderr, reason = "a test that is left out must be seen to be")]
    fn start_with(more: &Value, logs: &Value) -> Option<Self> {
        let port = free_ports(1, 1);
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let driver = match driver {
            Ok(driver) => driver,
            Err(error) => {
                assert!(std::env::var_os("BROWSER_REQUIRED").is_none(), "chromedriver: {error}");
                eprintln!("NOT RUN: chromedriver is missing (Debian: apt-get install chromium-driver)");
                return None;
            }
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let mut options = json!({ "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--enable-precise-memory-info"] });
        if let (Value::Object(options), Value::Object(more)) = (&mut options, more.clone()) {
            options.extend(more);
        }
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": logs,
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("an object was written") };
        let client = wait_for("the browser", PATIENCE, || {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(capabilities.clone());
            runtime.block_on(builder.connect(&format!("http://127.0.0.1:{port}"))).ok()
        });
        Some(Self { driver, client, runtime })
    }

    /// Opens a page.
    ///
    /// # Panics
    /// When it can't be reached.
    pub fn open(&self, url: &str) {
        self.runtime.block_on(self.client.goto(url)).expect("the page opens");
    }

    /// Loads the page again.
    ///
    /// # Panics
    /// When it can't be reached.
    pub fn reload(&self) {
        self.runtime.block_on(self.client.refresh()).expect("the page opens");
    }

    /// What an expression in the page comes to.
    ///
    /// # Panics
    /// When it throws.
    #[must_use]
    pub fn eval(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.runtime
            .block_on(self.client.execute(&script, Vec::new()))
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Waits until an expression in the page is true.
    ///
    /// # Panics
    /// When it does not become so.
    pub fn wait_true(&self, what: &str, expression: &str) {
        wait_for(what, PATIENCE, || (self.eval(expression) == json!(true)).then_some(()));
    }

    /// Clicks where a person would: the element must be there, visible and not covered.
    ///
    /// # Panics
    /// When it isn't.
    pub fn click(&self, css: &str) {
        self.runtime
            .block_on(async { self.client.find(Locator::Css(css)).await?.click().await })
            .unwrap_or_else(|error| panic!("click on {css}: {error}"));
    }

    /// Replaces the text of a field.
    ///
    /// # Panics
    /// When there is no such field.
    pub fn type_into(&self, css: &str, text: &str) {
        self.runtime
            .block_on(async {
                let field = self.client.find(Locator::Css(css)).await?;
                field.clear().await?;
                field.send_keys(text).await
            })
            .unwrap_or_else(|error| panic!("type {text} into {css}: {error}"));
    }

    /// The choice of a list, by its text.
    ///
    /// # Panics
    /// When there is none.
    pub fn choose(&self, css: &str, label: &str) {
        self.runtime
            .block_on(async { self.client.find(Locator::Css(css)).await?.select_by_label(label).await })
            .unwrap_or_else(|error| panic!("choose {label} of {css}: {error}"));
    }

    /// The text of an element; empty when it is not there.
    #[must_use]
    pub fn text(&self, css: &str) -> String {
        let text = self.eval(&format!("document.querySelector({})?.textContent", json!(css)));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// What the page wrote to the console as errors since the last time, requests that failed among them.
    ///
    /// # Panics
    /// When the browser does not answer.
    #[must_use]
    pub fn console_errors(&self) -> Vec<String> {
        let log = self.own("se/log", json!({ "type": "browser" }));
        let severe = log.as_array().into_iter().flatten().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }

    /// What tracing said since the last time: each event as `chrome://tracing` has it. A traced browser only.
    ///
    /// # Panics
    /// When the browser does not answer.
    #[must_use]
    pub fn trace(&self) -> Vec<Value> {
        let log = self.own("se/log", json!({ "type": "performance" }));
        let message = |entry: &Value| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = message.get("message")?;
            (message["method"] == "Tracing.dataCollected").then(|| message["params"].clone())
        };
        log.as_array().into_iter().flatten().filter_map(message).collect()
    }

    /// A command of the DevTools protocol.
    ///
    /// # Panics
    /// When the browser refuses it.
    pub fn devtools(&self, command: &str, params: Value) -> Value {
        self.own("goog/cdp/execute", json!({ "cmd": command, "params": params }))
    }

    fn own(&self, path: &'static str, body: Value) -> Value {
        self.runtime
            .block_on(self.client.issue_cmd(Own { path, body }))
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The size of the page as the screen would have it, light or dark.
    pub fn look(&self, (width, height): (u32, u32), phone: bool, scheme: &str) {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone }),
        );
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }),
        );
    }

    /// Keeps a picture of what is to be seen.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn picture(&self, file: &Path) {
        let png = self.runtime.block_on(self.client.screenshot()).expect("a picture");
        std::fs::write(file, png).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium ends with its session, the driver by our hand
        let _ = self.runtime.block_on(self.client.clone().close());
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
