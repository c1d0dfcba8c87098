#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const BASE: Ticks = Ticks {
    user: 1000,
    nice: 100,
    system: 500,
    idle: 9000,
    iowait: 200,
    irq: 10,
    softirq: 20,
    steal: 30,
    guest: 40,
    guest_nice: 5,
};

fn parsed(text: &str) -> Result<CpuTimes, Malformed> {
    let mut times = CpuTimes::default();
    times.parse(text.as_bytes())?;
    Ok(times)
}

#[test]
fn parses_every_field() {
    let times = parsed(
        "cpu  11 12 13 14 15 16 17 18 19 20\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu3 10 10 10 10 10 10 10 10 10 10\nintr 5\n",
    );
    let times = times.unwrap();
    assert_eq!(times.cores.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [0, 3]);
    let (_, first) = times.cores[0];
    let expected = Ticks {
        user: 1,
        nice: 2,
        system: 3,
        idle: 4,
        iowait: 5,
        irq: 6,
        softirq: 7,
        steal: 8,
        guest: 9,
        guest_nice: 10,
    };
    assert_eq!((first, times.total.user, times.total.guest_nice), (expected, 11, 20));
}

#[test]
fn accepts_fewer_fields_of_old_kernels_and_more_of_new_ones() {
    let old = parsed("cpu 1 2 3 4\ncpu0 1 2 3 4\nintr 5\n").unwrap();
    assert_eq!(old.total, Ticks { user: 1, nice: 2, system: 3, idle: 4, ..Ticks::default() });

    let new = parsed("cpu 1 2 3 4 5 6 7 8 9 10 11\ncpu0 1 2 3 4 5 6 7 8 9 10 11\nintr 5\n").unwrap();
    assert_eq!((new.total.idle, new.total.guest_nice), (4, 10));
}

#[test]
fn rejects_malformed_text_with_the_line_number() {
    for (text, problem) in [
        ("", "line 1: is missing"),
        ("cpu", "line 1: is truncated"),
        ("intr 5\n", "line 1: is not a CPU line"),
        ("cpu0 1 2 3 4\n", "line 1: comes before the line of totals"),
        ("cpu 1 2 3\n", "line 1: has 3 fields, fewer than 4"),
        ("cpu 1 2 3 -4\n", "line 1: \"-4\" is not a number of ticks"),
        ("cpu 1 2 3 99999999999999999999\n", "line 1: \"99999999999999999999\" is not a number of ticks"),
        ("cpu 1 2 3 4\nintr 5\n", "line 2: is not a CPU line"),
        ("cpu 1 2 3 4\ncpu 1 2 3 4\nintr 5\n", "line 2: is a second line of totals"),
        ("cpu 1 2 3 4\ncpux 1 2 3 4\nintr 5\n", "line 2: \"cpux\" is not a CPU"),
        ("cpu 1 2 3 4\ncpu0 1 2 3 4 5\nintr 5\n", "line 2: has 5 fields, but the first line has 4"),
        ("cpu 1 2 3 4\ncpu1 1 2 3 4\ncpu1 1 2 3 4\nintr 5\n", "line 3: cpu1 is out of order"),
    ] {
        assert_eq!(parsed(text).unwrap_err().to_string(), problem, "{text:?}");
    }
}

#[test]
fn shares_cover_the_time_between_two_readings() {
    let now = Ticks {
        user: 1040,
        nice: 105,
        system: 520,
        idle: 9100,
        iowait: 215,
        irq: 14,
        softirq: 26,
        steal: 40,
        guest: 50,
        guest_nice: 7,
    };
    let Shares { busy_percent, states } = now.shares_since(&BASE).unwrap();
    // 200 ticks in total. Guest time is part of user and nice time and counts once.
    let expected = CpuStates {
        user_percent: 20.0,
        nice_percent: 2.5,
        system_percent: 10.0,
        idle_percent: 50.0,
        iowait_percent: 7.5,
        irq_percent: 2.0,
        softirq_percent: 3.0,
        steal_percent: 5.0,
        guest_percent: 5.0,
        guest_nice_percent: 1.0,
    };
    assert_eq!((busy_percent, states), (42.5, expected));
}

#[test]
fn shares_are_rounded_to_hundredths_and_add_up_to_100() {
    let now = Ticks { user: BASE.user + 2, system: BASE.system + 2, idle: BASE.idle + 2, ..BASE };
    let Shares { busy_percent, states } = now.shares_since(&BASE).unwrap();
    assert_eq!((busy_percent, states.idle_percent), (66.67, 33.33));
    assert_eq!((states.user_percent, states.system_percent, states.irq_percent), (33.33, 33.34, 0.0));
}

#[test]
fn idle_time_that_decreases_counts_as_zero() {
    let now = Ticks { user: BASE.user + 50, idle: BASE.idle - 3, iowait: BASE.iowait + 50, ..BASE };
    let Shares { busy_percent, states } = now.shares_since(&BASE).unwrap();
    assert_eq!((busy_percent, states.idle_percent, states.iowait_percent), (50.0, 0.0, 50.0));

    let now = Ticks { user: BASE.user + 50, idle: BASE.idle + 150, iowait: BASE.iowait - 1, ..BASE };
    assert_eq!(now.shares_since(&BASE).unwrap().busy_percent, 25.0);
}

#[test]
fn any_other_counter_that_decreases_was_reset() {
    for now in [
        Ticks { user: 999, ..BASE },
        Ticks { nice: 99, ..BASE },
        Ticks { system: 499, ..BASE },
        Ticks { irq: 9, ..BASE },
        Ticks { softirq: 19, ..BASE },
        Ticks { steal: 29, ..BASE },
        Ticks { guest: 39, ..BASE },
        Ticks { guest_nice: 4, ..BASE },
    ] {
        let now = Ticks { idle: now.idle + 100, ..now };
        assert_eq!(now.shares_since(&BASE), Err(UnavailableReason::CounterReset), "{now:?}");
    }
}

#[test]
fn unchanged_counters_have_no_shares() {
    assert_eq!(BASE.shares_since(&BASE), Err(UnavailableReason::NoProgress));
}

#[test]
fn guest_time_never_exceeds_user_time() {
    let now = Ticks { user: BASE.user + 10, guest: BASE.guest + 11, idle: BASE.idle + 90, ..BASE };
    assert_eq!(now.shares_since(&BASE).unwrap().states.guest_percent, 10.0);
}

#[test]
fn compares_cpus_by_number_not_by_position() {
    let busy = |ticks| Ticks { user: BASE.user + ticks, ..BASE };
    let base = [(0, BASE), (2, BASE), (5, BASE)];
    let now = CpuTimes { total: BASE, cores: vec![(1, busy(7)), (2, busy(7)), (5, BASE), (6, busy(7))] };
    let shares: Vec<_> =
        now.core_shares(&base).map(|(id, shares)| (id, shares.map(|shares| shares.busy_percent))).collect();
    let first = Err(UnavailableReason::FirstSample);
    assert_eq!(shares, [(1, first), (2, Ok(100.0)), (5, Err(UnavailableReason::NoProgress)), (6, first)]);
}

prop_compose! {
    fn ticks()(fields in prop::array::uniform10(prop_oneof![0..2000u64, any::<u64>()])) -> Ticks {
        let [user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice] = fields;
        Ticks { user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice }
    }
}

proptest! {
    #[test]
    fn shares_always_add_up_to_100(now in ticks(), base in ticks()) {
        for (now, base) in [(now, base), (now, Ticks::default())] {
            if let Ok(Shares { busy_percent, states }) = now.shares_since(&base) {
                prop_assert!((states.total_percent() - 100.0).abs() < 1e-9, "{states:?}");
                prop_assert!((states.busy_percent() - busy_percent).abs() < 1e-9, "{states:?}");
                prop_assert!(states.guest_percent <= states.user_percent);
                prop_assert!(states.guest_nice_percent <= states.nice_percent);
            }
        }
    }

    #[test]
    fn parsing_arbitrary_bytes_never_panics(text in any::<Vec<u8>>()) {
        CpuTimes::default().parse(&text).ok();
    }

    #[test]
    fn a_truncated_file_is_never_taken_for_a_smaller_host(length in 0usize..115) {
        let text = "cpu  100 200 300 400 0 0 0 0 0 0\ncpu0 50 100 150 200 0 0 0 0 0 0\ncpu1 50 100 150 200 0 0 0 0 0 0\nintr 12345 0 0 0 0\n";
        prop_assert!(length < text.len());
        prop_assert!(parsed(&text[..length]).is_err(), "{:?}", &text[..length]);
    }
}
