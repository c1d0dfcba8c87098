//! `telemetryctl watch`: collectors as they work, on a screen or as lines.

mod feed;
mod lines;
mod model;
mod outages;
mod screen;
mod view;

use std::io::{self, IsTerminal};

use crate::exit::Exit;
use crate::output::Output;
use crate::session::Session;

pub(crate) async fn run(session: &Session, output: &Output) -> io::Result<Exit> {
    let is_screen = io::stdout().is_terminal() && io::stdin().is_terminal() && !output.is_json();
    if is_screen { screen::run(session, output.is_colored()).await } else { lines::run(session, output).await }
}
