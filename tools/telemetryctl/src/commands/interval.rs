//! `telemetryctl interval`: changes the sampling interval, or returns to that of the settings.

use std::io;

use serde_json::Value;
use telemetry_client::IntervalRequest;
use telemetry_client::control::IntervalChange;
use telemetry_proto::v1::{ResetIntervalResponse, SetIntervalResponse};

use crate::cli::{IntervalArgs, NewInterval};
use crate::exit::Exit;
use crate::fan_out::Answers;
use crate::output::{Cell, Output, Paint, Style, Table, span, time};
use crate::session::Session;

pub(crate) async fn run(session: &Session, output: &Output, args: &IntervalArgs) -> io::Result<Exit> {
    let answers = match args.interval {
        NewInterval::Set(interval) => {
            let mut request = IntervalRequest::new(interval).reason(&args.reason);
            if let Some(ttl) = args.ttl {
                request = request.ttl(ttl);
            }
            session.ask(|client| set(client, request.clone())).await
        }
        NewInterval::Reset => session.ask(|client| reset(client, args.reason.clone())).await,
    };
    let is_reset = args.interval == NewInterval::Reset;
    output.answers(&answers, |change| json(change, is_reset), text)?;
    Ok(answers.exit())
}

async fn set(
    client: telemetry_client::ControlClient,
    request: IntervalRequest,
) -> Result<IntervalChange, telemetry_client::ControlError> {
    client.set_interval(request).await
}

async fn reset(
    client: telemetry_client::ControlClient,
    reason: String,
) -> Result<IntervalChange, telemetry_client::ControlError> {
    client.reset_interval(reason).await
}

fn json(change: &IntervalChange, is_reset: bool) -> serde_json::Result<Value> {
    let (previous_interval, interval) = (Some(change.previous.into()), Some(change.current.into()));
    let effective_since = change.effective_since.map(Into::into);
    if is_reset {
        return serde_json::to_value(ResetIntervalResponse { previous_interval, interval, effective_since });
    }
    let reverts_at = change.reverts_at.map(Into::into);
    serde_json::to_value(SetIntervalResponse { previous_interval, interval, effective_since, reverts_at })
}

fn text(answers: &Answers<IntervalChange>, paint: Paint) -> String {
    let mut table = Table::new(["TARGET", "PREVIOUS", "INTERVAL", "SINCE", "REVERTS AT"]);
    for (target, change) in answers.ok() {
        table.row([
            Cell::from(target),
            Cell::from(span(change.previous)),
            Cell::new(&span(change.current), Style::Good),
            Cell::from(time(change.effective_since)),
            Cell::from(change.reverts_at.map_or_else(|| "never".to_owned(), |at| time(Some(at)))),
        ]);
    }
    table.render(paint)
}
