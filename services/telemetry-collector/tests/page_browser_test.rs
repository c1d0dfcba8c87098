//! The page at `/` in a browser: what people, keyboards and screen readers get.
//!
//! Chromium must be on the PATH; see `telemetry_testing::Browser`.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use support::collector::Collector;
use support::login::TokenFile;
use support::page::{ANY_PORT, SeenPage, sample_of};
use telemetry_collector::health::Component;
use telemetry_proto::v1::{HealthStatus, SetIntervalRequest};
use telemetry_testing::{Browser, RedisServer, eventually};

const LIGHT: &[(&str, &str)] = &[("prefers-color-scheme", "light")];
const DARK: &[(&str, &str)] = &[("prefers-color-scheme", "dark"), ("prefers-reduced-motion", "reduce")];
const TAB: (&str, u32) = ("Tab", 9);
const ENTER: (&str, u32) = ("Enter", 13);

/// Texts whose contrast with what is behind them is below AA of WCAG 2.2: 4.5, or 3 for large ones.
const TOO_FAINT: &str = r"
(() => {
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = channels(color).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (channels(color)[3] !== 0) return color;
    }
  };
  const faint = [];
  for (const node of document.querySelectorAll('body *')) {
    const text = [...node.childNodes].filter((child) => child.nodeType === 3).map((child) => child.data.trim()).join('');
    if (!text || !node.checkVisibility()) continue;
    const { color, fontSize, fontWeight } = getComputedStyle(node);
    const [one, other] = [light(color), light(behind(node))].sort((a, b) => a - b);
    const contrast = (other + 0.05) / (one + 0.05);
    const large = parseFloat(fontSize) >= 24 || (parseFloat(fontSize) >= 18.66 && fontWeight >= 700);
    if (contrast < (large ? 3 : 4.5)) faint.push(`${text}: ${contrast.toFixed(2)}`);
  }
  return faint;
})()";

/// Elements that reach beyond the right edge, other than those that scroll by themselves.
const TOO_WIDE: &str = r"
[...document.querySelectorAll('body *')]
  .filter((node) => !node.closest('.scroll, .hidden') && node.getBoundingClientRect().right > innerWidth + 0.5)
  .map((node) => node.outerHTML.slice(0, 120))
  .concat(document.documentElement.scrollWidth > innerWidth ? ['the page'] : [])";

fn url(address: SocketAddr) -> String {
    format!("http://{address}/")
}

async fn text(browser: &mut Browser, id: &str) -> String {
    let text = browser.evaluate(&format!("document.getElementById('{id}').innerText")).await;
    text.as_str().unwrap().trim().to_owned()
}

async fn eventually_text(browser: &mut Browser, id: &str, part: &str) {
    let condition = format!("document.getElementById('{id}').innerText.includes({})", json!(part));
    browser.eventually(&format!("#{id} has {part:?}"), &condition).await;
}

/// Takes a sample of so many cores, once the page is live, and waits until it is shown.
async fn eventually_shown(browser: &mut Browser, page: &SeenPage, cores: u32) {
    eventually_text(browser, "link", "Live").await;
    page.outbox.append(sample_of(cores)).unwrap();
    let is_shown = format!("document.getElementById('cores').children.length === {cores}");
    browser.eventually(&format!("a sample of {cores} cores is shown"), &is_shown).await;
}

fn assert_no_complaints(browser: &Browser) {
    assert_eq!(browser.complaints(), [""; 0]);
}

/// A number with this many decimals, as the page writes it; a dash without one.
fn fixed(value: &Value, decimals: usize) -> String {
    value.as_f64().map_or_else(|| "–".to_owned(), |value| format!("{value:.decimals$}"))
}

/// Whether both are the same number. JavaScript and Rust may round a half differently.
fn is_near(shown: &str, wanted: &Value, step: f64) -> bool {
    shown.parse::<f64>().is_ok_and(|shown| (shown - wanted.as_f64().unwrap()).abs() <= 0.501 * step)
}

#[tokio::test]
async fn shows_what_the_message_says() {
    let redis = RedisServer::start().await;
    let vars = [
        ("TELEMETRY_REDIS__URL", redis.url()),
        ("TELEMETRY_HTTP__LISTEN", "127.0.0.1:0".to_owned()),
        ("TELEMETRY_COLLECTION__LABELS", "rack=a1".to_owned()),
    ];
    let mut collector = Collector::start(&vars.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    let address = collector.http_address().await;
    let mut browser = Browser::start().await;
    browser.open(&url(address)).await;
    browser.eventually("shares are shown", "/^\\d/.test(document.getElementById('usage').innerText)").await;

    // No sample comes while they are compared.
    let rarely = SetIntervalRequest { interval: Some(Duration::from_secs(3600).into()), ..Default::default() };
    collector.control().await.set_interval(rarely).await.unwrap();
    eventually_text(&mut browser, "interval", "1 h").await;
    let mut last = Value::Null;
    eventually("everything is in the queue", async || {
        let queue: Vec<String> = redis.command(&["LRANGE", "telemetry:queue", "0", "-1"]).await;
        let queue: Vec<Value> = queue.iter().map(|element| serde_json::from_str(element).unwrap()).collect();
        last = queue
            .iter()
            .filter(|message| message.get("data").is_some())
            .max_by_key(|message| message["sequence"].as_str().unwrap().parse::<u64>().unwrap())
            .unwrap()
            .clone();
        queue.iter().any(|message| message.get("control").is_some())
    })
    .await;
    let (metadata, cpu) = (&last["data"]["metadata"], &last["data"]["cpu"]);
    let time = format!(
        "document.getElementById('taken').innerText.includes(new Date({}).toTimeString().slice(0, 8))",
        last["collected_at"]
    );
    browser.eventually("the last message is shown", &time).await;

    assert_eq!(text(&mut browser, "host").await, metadata["hostname"].as_str().unwrap());
    for part in ["os", "kernel", "arch"] {
        assert!(text(&mut browser, "about").await.contains(metadata[part].as_str().unwrap()), "{part}");
    }
    assert_eq!(text(&mut browser, "labels").await, "rack a1");
    assert!(is_near(&text(&mut browser, "usage").await, &cpu["usage_percent"], 0.1), "{cpu}");
    assert!(is_near(&text(&mut browser, "load").await, &cpu["load_averages"]["one"], 0.01), "{cpu}");
    let states = text(&mut browser, "states").await.replace('\n', " ");
    for (name, label) in [("user", "user"), ("system", "system"), ("iowait", "I/O wait"), ("idle", "idle")] {
        let shown = states.split_once(label).unwrap().1.trim().split(' ').next().unwrap();
        assert!(is_near(shown, &cpu["states"][format!("{name}_percent")], 0.1), "{name} in {states}: {cpu}");
    }
    if cpu["temperature_celsius"].is_null() {
        assert_ne!(text(&mut browser, "temperature-more").await, "", "there is no reason");
    }
    browser.evaluate("document.getElementById('all').open = true").await;
    browser.eventually("the table is filled", "document.querySelectorAll('#rows tr').length > 0").await;
    let cells = "[...document.querySelectorAll('#rows tr')].map((row) => [...row.cells].map((cell) => cell.innerText))";
    let rows = browser.evaluate(cells).await;
    let cores = cpu["cores"].as_array().unwrap();
    assert_eq!(rows.as_array().unwrap().len(), cores.len());
    for (row, core) in rows.as_array().unwrap().iter().zip(cores) {
        let states = ["user", "nice", "system", "irq", "softirq", "steal", "iowait", "idle", "guest", "guest_nice"];
        let states = states.map(|state| fixed(&core["states"][format!("{state}_percent")], 2));
        let mut wanted = vec![core["core_id"].to_string(), fixed(&core["usage_percent"], 2)];
        wanted.extend(states);
        assert_eq!(row.as_array().unwrap()[..wanted.len()], wanted.iter().map(|cell| json!(cell)).collect::<Vec<_>>());
    }
    assert_eq!(text(&mut browser, "lost").await, "0");
    assert_no_complaints(&browser);
}

#[tokio::test]
async fn fits_every_width_in_both_schemes_with_few_and_many_cores() {
    let mut browser = Browser::start().await;
    for cores in [1, 6, 40, 256] {
        let page = SeenPage::start().await;
        page.board.reporter(Component::Sink).failing(HealthStatus::Degraded, &long_error());
        browser.open(&url(page.address)).await;
        for width in [320, 360, 768, 1440] {
            browser.resize(width, 900).await;
            eventually_shown(&mut browser, &page, cores).await;
            eventually_text(&mut browser, "notice", "The sink has taken no messages").await;
            assert_eq!(browser.evaluate(TOO_WIDE).await, json!([]), "{cores} cores at {width}");
            for scheme in [LIGHT, DARK] {
                browser.prefer(scheme).await;
                assert_eq!(browser.evaluate(TOO_FAINT).await, json!([]), "{cores} cores at {width}, {scheme:?}");
            }
        }
    }
    assert_no_complaints(&browser);
}

/// An error with a word that no line can hold.
fn long_error() -> std::io::Error {
    std::io::Error::other(format!("cannot deliver to redis://{}:6379/0", "host".repeat(80)))
}

#[tokio::test]
async fn works_without_a_mouse() {
    let page = SeenPage::start().await;
    let mut browser = Browser::start().await;
    browser.open(&url(page.address)).await;
    eventually_shown(&mut browser, &page, 4).await;
    let focused = "(() => { const node = document.activeElement; return [node.localName + (node.className ? '.' + node.className : ''), \
                   getComputedStyle(node).outlineStyle] })()";
    browser.press(TAB).await;
    assert_eq!(browser.evaluate(focused).await, json!(["summary", "solid"]));
    browser.press(ENTER).await;
    browser.eventually("the table is shown", "document.querySelectorAll('#rows tr').length === 4").await;
    for wanted in ["div.scroll", "a", "a", "a"] {
        browser.press(TAB).await;
        assert_eq!(browser.evaluate(focused).await, json!([wanted, "solid"]));
    }
    assert_no_complaints(&browser);
}

#[tokio::test]
async fn names_everything_for_a_screen_reader() {
    let page = SeenPage::start().await;
    let mut browser = Browser::start().await;
    browser.open(&url(page.address)).await;
    eventually_shown(&mut browser, &page, 2).await;
    let nodes = browser.accessible().await;
    let named = |role: &str| -> Vec<&str> {
        nodes.iter().filter(|(of, _)| of == role).map(|(_, name)| name.as_str()).collect()
    };
    assert_eq!(named("RootWebArea"), ["testhost"]);
    assert_eq!(
        named("heading"),
        [
            "testhost",
            "Utilization",
            "Time in each state",
            "Load",
            "Temperature",
            "Frequency",
            "Delivery",
            "Interval",
            "Health",
            "Cores"
        ]
    );
    for landmark in ["banner", "main", "contentinfo"] {
        assert_eq!(named(landmark).len(), 1, "{landmark}");
    }
    assert_eq!(
        named("region"),
        ["Utilization", "Load", "Temperature", "Frequency", "Delivery", "Interval", "Health", "Cores"]
    );
    assert_eq!(named("navigation"), ["Other views"]);
    let lines = named("image");
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(lines[0].starts_with("Utilization over the last minutes: from "), "{lines:?}");
    for role in ["list", "link", "DisclosureTriangle"] {
        assert!(named(role).iter().all(|name| !name.is_empty()) && !named(role).is_empty(), "{role}: {nodes:?}");
    }
    // Numbers that change each second would be read out without an end.
    let live = "[...document.querySelectorAll('[role=status], [aria-live]')].map((node) => node.id)";
    assert_eq!(browser.evaluate(live).await, json!(["spoken"]));
    let cores = browser.evaluate("[...document.querySelectorAll('#cores .id')].map((node) => node.textContent)").await;
    assert_eq!(cores, json!(["Core 0", "Core 1"]));
}

#[tokio::test]
async fn says_that_there_is_no_sample_yet_and_why_the_sink_is_down() {
    let page = SeenPage::start().await;
    let mut browser = Browser::start().await;
    browser.open(&url(page.address)).await;
    eventually_text(&mut browser, "link", "Live").await;
    eventually_text(&mut browser, "notice", "No sample yet").await;

    let sampler = page.board.reporter(Component::Sampler);
    sampler.failing(HealthStatus::NotServing, &std::io::Error::other("half a file"));
    eventually_text(&mut browser, "notice", "Half a file").await;
    sampler.serving();
    page.outbox.append(sample_of(2)).unwrap();
    let is_hidden = "document.getElementById('notice').hidden";
    browser.eventually("nothing needs attention", is_hidden).await;

    let sink = page.board.reporter(Component::Sink);
    sink.failing(HealthStatus::Degraded, &std::io::Error::other("connection refused"));
    eventually_text(&mut browser, "notice", "Connection refused. 1 message waits, none is lost.").await;
    eventually_text(&mut browser, "health", "degraded").await;
    let spoken = browser.evaluate("document.getElementById('spoken').textContent").await;
    assert!(spoken.as_str().unwrap().starts_with("The sink has taken no messages since "), "{spoken}");
    page.outbox.append(sample_of(2)).unwrap();
    eventually_text(&mut browser, "notice", "2 messages wait").await;
    // Or a screen reader would read it again for every message.
    assert_eq!(browser.evaluate("document.getElementById('spoken').textContent").await, spoken);

    page.outbox.acknowledge(page.outbox.next_batch().await.unwrap());
    sink.serving();
    browser.eventually("nothing needs attention", is_hidden).await;
    assert_eq!(text(&mut browser, "acknowledged").await, "2");
    eventually_text(&mut browser, "health", "last error: connection refused").await;
    assert_no_complaints(&browser);
}

#[tokio::test]
async fn says_how_old_the_last_sample_is_when_no_new_ones_come() {
    let page = SeenPage::start_with(ANY_PORT, "1s", Duration::from_secs(3600)).await;
    let mut browser = Browser::start().await;
    browser.open(&url(page.address)).await;
    eventually_shown(&mut browser, &page, 2).await;
    eventually_text(&mut browser, "notice", "There are no new samples. The last one is 1 h").await;
    let sampler = page.board.reporter(Component::Sampler);
    sampler.failing(HealthStatus::NotServing, &std::io::Error::other("half a file"));
    eventually_text(&mut browser, "notice", "Half a file").await;
    assert_eq!(browser.evaluate("document.title").await, json!("testhost – attention"));
    assert_no_complaints(&browser);
}

#[tokio::test]
async fn says_why_it_is_not_live_and_comes_back_by_itself() {
    let mut page = SeenPage::start().await;
    let mut browser = Browser::start().await;
    browser.open(&url(page.address)).await;
    eventually_shown(&mut browser, &page, 2).await;

    let address = page.address;
    page.stop().await;
    eventually_text(&mut browser, "link", "Reconnecting").await;
    eventually_text(&mut browser, "notice", "does not answer").await;
    assert_eq!(browser.evaluate(TOO_FAINT).await, json!([]));

    let page = SeenPage::start_at(address).await;
    eventually_shown(&mut browser, &page, 3).await;
}

#[tokio::test]
async fn is_live_with_a_token_as_the_password_until_it_is_revoked() {
    const TOKEN: &str = "token-of-a-viewer";
    let tokens = TokenFile::new(&[("viewer", "read", TOKEN)]);
    let vars = [
        ("TELEMETRY_REDIS__URL", "redis://127.0.0.1:1"),
        ("TELEMETRY_HTTP__LISTEN", "127.0.0.1:0"),
        ("TELEMETRY_HTTP__TOKENS_FILE", tokens.path().to_str().unwrap()),
    ];
    let mut collector = Collector::start(&vars).await;
    let address = collector.http_address().await;
    let mut browser = Browser::start().await;
    browser.open(&format!("http://anybody:{TOKEN}@{address}/")).await;
    eventually_text(&mut browser, "link", "Live").await;
    eventually_text(&mut browser, "notice", "Connection refused").await;

    tokens.set(&[("viewer", "read", "another-token")]);
    eventually_text(&mut browser, "notice", "The collector asks for a login").await;
}

#[tokio::test]
async fn says_that_there_are_too_many_viewers() {
    let page = SeenPage::start().await;
    let mut others = Vec::new();
    for _ in 0..32 {
        others.push(support::events::Events::open(page.address).await);
    }
    let mut browser = Browser::start().await;
    browser.open(&url(page.address)).await;
    eventually_text(&mut browser, "notice", "32 viewers are connected already").await;
    others.clear();
    eventually_shown(&mut browser, &page, 2).await;
}

#[tokio::test]
async fn writes_values_for_people() {
    let page = SeenPage::start().await;
    let mut browser = Browser::start().await;
    browser.open(&url(page.address)).await;
    let spans = "import('/page/format.js').then(({ span }) => [0, 200, 1000, 1500, 59_000, 90_000, 3_600_000, 93_600_000].map(span))";
    let wanted = ["0 ms", "200 ms", "1 s", "1.5 s", "59 s", "1 min 30 s", "1 h", "1 d 2 h"];
    assert_eq!(browser.evaluate(spans).await, json!(wanted));
    let others = "import('/page/format.js').then((format) => [format.milliseconds('0.200s'), format.count(18234), \
                  format.percent(undefined), format.gigahertz(2596.12), format.status('HEALTH_STATUS_NOT_SERVING'), \
                  format.why([{ field: 'a', reason: 'UNAVAILABLE_REASON_NO_SENSOR' }], 'a', 'b')])";
    assert_eq!(browser.evaluate(others).await, json!([200, "18,234", "–", "2.60", "not serving", "no sensor"]));
}

/// The policy is what keeps a script that got into the page from running. Break it, and the browser says so.
#[tokio::test]
async fn runs_no_text_as_a_script() {
    let page = SeenPage::start().await;
    let mut browser = Browser::start().await;
    browser.open(&url(page.address)).await;
    let attempts =
        "(() => { try { document.body.innerHTML = '<p>'; return 'done' } catch (error) { return error.name } })()";
    assert_eq!(browser.evaluate(attempts).await, json!("TypeError"));
    let foreign = "fetch('http://127.0.0.1:9/').then(() => 'done', (error) => error.name)";
    assert_eq!(browser.evaluate(foreign).await, json!("TypeError"));
    eventually("the browser complains", async || {
        browser.evaluate("0").await;
        browser.complaints().iter().any(|complaint| complaint.contains("Content Security Policy"))
    })
    .await;
}
