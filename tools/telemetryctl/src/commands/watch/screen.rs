//! The terminal: keys in, frames out. It is restored however the watch ends.

use std::io;
use std::thread;
use std::time::{Duration, SystemTime};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::{MissedTickBehavior, interval};

use super::feed::{self, AtEnd};
use super::model::Host;
use super::view::{self, View};
use crate::exit::Exit;
use crate::session::Session;

/// Time from one look at what is new to the next.
const FRAME: Duration = Duration::from_millis(100);
/// Frames after which the screen is drawn although nothing is new: ages grow.
const IDLE_FRAMES: u32 = 10;

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Quit,
    Interrupt,
    Up,
    Down,
    Draw,
}

/// Restores the terminal when it is dropped. A panic restores it before its message is printed.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows the targets until the user quits.
pub(super) async fn run(session: &Session, is_colored: bool) -> io::Result<Exit> {
    let mut hosts: Vec<_> = session.targets.iter().map(|target| Host::new(&target.name)).collect();
    let mut updates = feed::start(&session.targets, AtEnd::Reconnect, true);
    let mut screen = Screen::open()?;
    let mut events = terminal_events();
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut selected, mut is_new, mut idle) = (0, true, 0);
    loop {
        tokio::select! {
            _ = frames.tick() => {
                idle += 1;
                if is_new || idle >= IDLE_FRAMES {
                    let view = View { hosts: &hosts, selected, is_colored, now: SystemTime::now() };
                    screen.0.draw(|frame| view::draw(frame, &view))?;
                    (is_new, idle) = (false, 0);
                }
            }
            Some((index, update)) = updates.recv() => {
                hosts[index].apply(update);
                is_new = true;
            }
            event = events.recv() => match event.transpose()?.map(|event| action(&event)) {
                Some(Action::Quit) | None => return Ok(Exit::Ok),
                Some(Action::Interrupt) => return Ok(Exit::Interrupted),
                Some(Action::Up) => (selected, is_new) = (selected.saturating_sub(1), true),
                Some(Action::Down) => (selected, is_new) = ((selected + 1).min(hosts.len().saturating_sub(1)), true),
                Some(Action::Draw) => is_new = true,
            },
        }
    }
}

/// Reads the terminal in a thread of its own, which ends with the process: a read cannot be interrupted.
fn terminal_events() -> UnboundedReceiver<io::Result<Event>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    thread::spawn(move || {
        loop {
            let event = event::read();
            let is_last = event.is_err();
            if sender.send(event).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

fn action(event: &Event) -> Action {
    let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else { return Action::Draw };
    match code {
        KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Action::Interrupt,
        KeyCode::Char('q') | KeyCode::Esc => Action::Quit,
        KeyCode::Up | KeyCode::Char('k') => Action::Up,
        KeyCode::Down | KeyCode::Char('j') => Action::Down,
        _ => Action::Draw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_keys() {
        let key = |code, modifiers| action(&Event::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::NONE), Action::Quit);
        assert_eq!(key(KeyCode::Esc, KeyModifiers::NONE), Action::Quit);
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Action::Interrupt);
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), Action::Draw);
        assert_eq!(key(KeyCode::Down, KeyModifiers::NONE), Action::Down);
        assert_eq!(action(&Event::Resize(1, 1)), Action::Draw);
    }
}
