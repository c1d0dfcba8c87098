//! Samples that somebody asks for.

use futures_util::future::join_all;

use super::*;

const MS: Duration = Duration::from_millis(1);

impl Running {
    /// What `callers` at the same time get: number and age in milliseconds of the sample, each.
    async fn fresh(&self, callers: usize, max_age: Duration) -> Vec<(u64, u128)> {
        let answers = join_all((0..callers).map(|_| self.snapshots.no_older_than(max_age))).await;
        let shown = |snapshot: &Snapshot| (snapshot.message.sequence, snapshot.age().as_millis());
        answers.into_iter().map(|answer| shown(&answer.unwrap()[0])).collect()
    }

    async fn refused(&self, max_age: Duration) -> String {
        report(&self.snapshots.no_older_than(max_age).await.unwrap_err())
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_share_one_sample() {
    let running = start("1h", || Ok(cpu())).await;
    running.pass(500 * MS).await;
    assert_eq!(running.fresh(1000, 500 * MS).await, [(1, 500); 1000]);
    assert_eq!(running.fresh(1000, 499 * MS).await, [(2, 0); 1000]);
    assert_eq!(running.samples(), 2);
}

#[tokio::test(start_paused = true)]
async fn only_the_groups_that_are_too_old_are_sampled() {
    let running = start_groups("1h", vec![group("cpu", failing_at(0..1)), group("disk", || Ok(cpu()))]).await;
    running.pass(500 * MS).await;
    let fresh = running.snapshots.no_older_than(Duration::from_secs(60)).await.unwrap();
    let numbers: Vec<_> = fresh.iter().map(|snapshot| (snapshot.group, snapshot.message.sequence)).collect();
    assert_eq!(numbers, [("cpu", 2), ("disk", 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_wants_no_age_at_all_gets_a_sample_of_the_last_100_ms() {
    let running = start("1h", || Ok(cpu())).await;
    running.pass(100 * MS).await;
    assert_eq!(running.fresh(1, Duration::ZERO).await, [(1, 100)]);
    running.pass(10 * MS).await;
    assert_eq!(running.fresh(1, Duration::ZERO).await, [(2, 0)]);
}

#[tokio::test(start_paused = true)]
async fn callers_cause_at_most_ten_samples_a_second() {
    let running = start("1h", || Ok(cpu())).await;
    for _ in 0..200 {
        running.fresh(3, Duration::ZERO).await;
        running.pass(10 * MS).await;
    }
    assert!((15..=21).contains(&running.samples()), "{}", running.samples());
}

#[tokio::test(start_paused = true)]
async fn the_grid_goes_on_and_no_reading_is_close_to_another() {
    let begun = Instant::now();
    let readings: Arc<std::sync::Mutex<Vec<u128>>> = Arc::default();
    let noted = Arc::clone(&readings);
    let running = start("1s", move || {
        noted.lock().unwrap().push(begun.elapsed().as_millis());
        Ok(cpu())
    })
    .await;
    running.pass(300 * MS).await;
    running.fresh(1, Duration::ZERO).await;
    running.pass(650 * MS).await;
    // The regular sample comes in 50 ms and is fresh enough.
    running.fresh(1, Duration::ZERO).await;
    running.pass(1100 * MS).await;
    assert_eq!(*readings.lock().unwrap(), [0, 300, 1000, 2000]);
}

#[tokio::test(start_paused = true)]
async fn a_new_interval_keeps_its_distance_from_a_fresh_sample() {
    let begun = Instant::now();
    let readings: Arc<std::sync::Mutex<Vec<u128>>> = Arc::default();
    let noted = Arc::clone(&readings);
    let running = start("1h", move || {
        noted.lock().unwrap().push(begun.elapsed().as_millis());
        Ok(cpu())
    })
    .await;
    running.pass(500 * MS).await;
    running.fresh(1, Duration::ZERO).await;
    running.handle.set_interval("100ms".parse().unwrap());
    running.pass(350 * MS).await;
    assert_eq!(*readings.lock().unwrap(), [0, 500, 600, 700, 800]);
}

#[tokio::test(start_paused = true)]
async fn a_longer_interval_does_not_let_a_waiting_caller_down() {
    let running = start("1s", || Ok(cpu())).await;
    running.pass(950 * MS).await;
    let asked = running.fresh(1, Duration::ZERO);
    let changed = async { running.handle.set_interval("1h".parse().unwrap()) };
    assert_eq!(tokio::join!(asked, changed).0, [(2, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_fails_is_an_error_at_once_and_is_tried_ten_times_a_second_at_most() {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let running = start("1h", move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Err("half a file")
    })
    .await;
    let begun = Instant::now();
    for _ in 0..100 {
        let refused = running.refused(Duration::from_secs(10)).await;
        assert_eq!(refused, "cannot collect a fresh sample of cpu: cannot collect cpu: half a file");
    }
    assert_eq!((calls.load(Ordering::Relaxed), begun.elapsed()), (1, Duration::ZERO));
    running.pass(110 * MS).await;
    running.refused(Duration::from_secs(10)).await;
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_hangs_is_an_error_after_two_seconds() {
    struct Hanging;
    #[async_trait::async_trait]
    impl TelemetryCollector for Hanging {
        fn name(&self) -> &'static str {
            "cpu"
        }

        async fn collect(&mut self) -> TelemetryResult<TelemetryMetrics> {
            pending().await
        }
    }
    let running = start_groups("1h", vec![Box::new(Hanging)]).await;
    assert_eq!(running.refused(Duration::ZERO).await, "cannot collect a fresh sample: it takes longer than 2 s");
}

#[tokio::test(start_paused = true)]
async fn a_sampler_that_has_stopped_is_an_error() {
    let running = start("1h", || Ok(cpu())).await;
    running.shutdown.cancel();
    running.pass(200 * MS).await;
    assert_eq!(running.refused(Duration::ZERO).await, "cannot collect a fresh sample: the sampler has stopped");
}
