//! The health of the collector: each component reports its status, and the control API reads it.

mod counters;

use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;

use telemetry_proto::v1::{ComponentHealth, HealthResponse, HealthStatus};
use tokio::sync::watch;

use crate::clock::WallClock;
use crate::errors::report;

/// A component of the collector with a status of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// Takes samples.
    Sampler,
    /// Delivers messages to their destination.
    Sink,
    /// Serves the control API.
    Control,
    /// Keeps messages on disk, if a directory for them is configured.
    Spool,
    /// Keeps changes of the control API over a restart, if a file for them is configured.
    StateFile,
}

/// The status of one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentState {
    /// The component.
    pub component: Component,
    /// Its status.
    pub status: HealthStatus,
    /// When it changed to this status.
    pub since: SystemTime,
    /// Its last error, kept after it has recovered.
    pub last_error: Option<String>,
}

/// The statuses of all components of one collector; creates their reporters and readers.
#[derive(Debug, Clone)]
pub struct HealthBoard {
    states: Arc<watch::Sender<Vec<ComponentState>>>,
    clock: WallClock,
}

/// Reports the status of one component.
#[derive(Debug, Clone)]
pub struct HealthReporter {
    board: HealthBoard,
    component: Component,
}

/// Reads the status of every component.
#[derive(Debug, Clone)]
pub struct HealthReader {
    states: watch::Receiver<Vec<ComponentState>>,
}

impl Component {
    /// The components that every collector has, in the order in which they are listed.
    pub const ALWAYS: [Self; 3] = [Self::Sampler, Self::Sink, Self::Control];

    /// Every component, in the order in which they are listed.
    pub const ALL: [Self; 5] = [Self::Sampler, Self::Sink, Self::Control, Self::Spool, Self::StateFile];

    /// Whether the process counts as dead when the component does not work. A sink or a spool that fails does not count,
    /// because the collector keeps the messages and a restart could lose them.
    #[must_use]
    pub fn is_vital(self) -> bool {
        !matches!(self, Self::Sink | Self::Spool | Self::StateFile)
    }

    /// Name of the component, in the control API and as a service of `grpc.health.v1`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sampler => "sampler",
            Self::Sink => "sink",
            Self::Control => "control",
            Self::Spool => "spool",
            Self::StateFile => "state_file",
        }
    }
}

impl HealthBoard {
    /// A board with the components that every collector has, all of them starting.
    #[must_use]
    pub fn new(clock: WallClock) -> Self {
        let board = Self { states: Arc::default(), clock };
        Component::ALWAYS.into_iter().fold(board, Self::with)
    }

    /// The same board with one more component, which is starting.
    #[must_use]
    pub fn with(self, component: Component) -> Self {
        let since = self.clock.now();
        let state = ComponentState { component, status: HealthStatus::Starting, since, last_error: None };
        self.states.send_modify(|states| states.push(state));
        self
    }

    /// A reporter for `component`.
    #[must_use]
    pub fn reporter(&self, component: Component) -> HealthReporter {
        HealthReporter { board: self.clone(), component }
    }

    /// A reader of all components.
    #[must_use]
    pub fn reader(&self) -> HealthReader {
        HealthReader { states: self.states.subscribe() }
    }
}

impl HealthReporter {
    /// The component works.
    pub fn serving(&self) {
        self.update(HealthStatus::Serving, None);
    }

    /// The component has failed with `error` and changes to `status`.
    pub fn failing(&self, status: HealthStatus, error: &dyn Error) {
        self.update(status, Some(report(error)));
    }

    /// The component has been stopped as intended.
    pub fn stopped(&self) {
        self.update(HealthStatus::NotServing, None);
    }

    fn update(&self, status: HealthStatus, error: Option<String>) {
        self.board.states.send_if_modified(|states| {
            let Some(state) = states.iter_mut().find(|state| state.component == self.component) else { return false };
            let changed = state.status != status;
            if changed {
                state.status = status;
                state.since = self.board.clock.now();
            }
            if error.is_some() {
                state.last_error = error;
            }
            changed
        });
    }
}

impl HealthReader {
    /// The current status of every component.
    #[must_use]
    pub fn states(&self) -> Vec<ComponentState> {
        self.states.borrow().clone()
    }

    /// Waits until the status of a component changes. Returns `false` when the collector has ended.
    pub async fn changed(&mut self) -> bool {
        self.states.changed().await.is_ok()
    }

    /// Whether the process is alive: `false` only when a restart could help.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let states = self.states.borrow();
        states.iter().all(|state| !state.component.is_vital() || state.status != HealthStatus::NotServing)
    }
}

impl From<&HealthReader> for HealthResponse {
    fn from(reader: &HealthReader) -> Self {
        let states = reader.states();
        let weight = |state: &ComponentState| match state.status {
            HealthStatus::NotServing if !state.component.is_vital() => HealthStatus::Degraded,
            status => status,
        };
        let severity = |status: &HealthStatus| match status {
            HealthStatus::Unspecified | HealthStatus::Serving => 0,
            HealthStatus::Starting => 1,
            HealthStatus::Degraded => 2,
            HealthStatus::NotServing => 3,
        };
        let worst = states.iter().map(weight).max_by_key(severity).unwrap_or(HealthStatus::Unspecified);
        Self { status: worst.into(), components: states.into_iter().map(ComponentHealth::from).collect() }
    }
}

impl From<ComponentState> for ComponentHealth {
    fn from(state: ComponentState) -> Self {
        Self {
            name: state.component.name().to_owned(),
            status: state.status.into(),
            since: Some(state.since.into()),
            last_error: state.last_error,
            counters: counters::of(state.component),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::errors::TelemetryError;

    fn error() -> TelemetryError {
        TelemetryError::collection("cpu", "half a file")
    }

    fn status_of(reader: &HealthReader) -> HealthStatus {
        HealthResponse::from(reader).status()
    }

    #[test]
    fn since_changes_only_with_the_status_and_the_last_error_is_kept() {
        let (clock, time) = WallClock::manual(SystemTime::UNIX_EPOCH);
        let board = HealthBoard::new(clock);
        let (sink, reader) = (board.reporter(Component::Sink), board.reader());

        time.advance(Duration::from_secs(1));
        sink.failing(HealthStatus::Degraded, &error());
        time.advance(Duration::from_secs(1));
        sink.failing(HealthStatus::Degraded, &error());
        let state = &reader.states()[1];
        assert_eq!(state.since, SystemTime::UNIX_EPOCH + Duration::from_secs(1));

        time.advance(Duration::from_secs(1));
        sink.serving();
        let state = &reader.states()[1];
        assert_eq!(state.since, SystemTime::UNIX_EPOCH + Duration::from_secs(3));
        assert_eq!(state.last_error.as_deref(), Some("cannot collect cpu: half a file"));
    }

    #[test]
    fn the_overall_status_is_the_worst_one_but_a_failing_sink_only_degrades_it() {
        let board = HealthBoard::new(WallClock::system());
        let reader = board.reader();
        assert_eq!(status_of(&reader), HealthStatus::Starting);

        Component::ALWAYS.into_iter().for_each(|component| board.reporter(component).serving());
        assert_eq!(status_of(&reader), HealthStatus::Serving);

        board.reporter(Component::Sink).failing(HealthStatus::NotServing, &error());
        assert_eq!((status_of(&reader), reader.is_live()), (HealthStatus::Degraded, true));

        board.reporter(Component::Sampler).failing(HealthStatus::NotServing, &error());
        assert_eq!((status_of(&reader), reader.is_live()), (HealthStatus::NotServing, false));
    }
}
