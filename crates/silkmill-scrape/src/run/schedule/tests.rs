//! Compares the schedule with a naive one: a list that is searched from end to end.

use proptest::prelude::*;

use super::*;

const FREE: Limits =
    Limits { per_host: 2, delay: Duration::ZERO, first_alone: false, throttle: None };

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn takes<T>(schedule: &mut Schedule<T>, now: Instant) -> Vec<T> {
    std::iter::from_fn(|| schedule.take(now)).map(|turn| turn.item).collect()
}

#[test]
fn a_host_that_is_full_does_not_hold_up_another() {
    let now = Instant::now();
    let mut schedule = Schedule::new(FREE);
    for (place, host) in ["a", "a", "a", "b"].into_iter().enumerate() {
        schedule.put(now, host, place as u64, place, None);
    }

    let first = schedule.take(now).unwrap();
    assert_eq!((first.item, takes(&mut schedule, now)), (0, vec![1, 3]));
    assert_eq!((schedule.waiting(), schedule.running(), schedule.next_time()), (1, 3, None));
    schedule.done(now, first.host);
    assert_eq!(takes(&mut schedule, now), [2]);
}

#[test]
fn the_items_of_a_host_that_is_given_up_start_at_once() {
    let now = Instant::now();
    let mut schedule = Schedule::new(Limits { delay: ms(1000), ..FREE });
    let host = schedule.put(now, "a", 0, 0, None);
    for place in 1..5 {
        schedule.put(now, "a", place, place, Some(now + ms(5000)));
    }
    let first = schedule.take(now).unwrap();
    assert!(!first.is_given_up && schedule.take(now).is_none());
    schedule.back_off(now, host, |_| ms(60_000));

    schedule.give_up(now, host, true);
    assert_eq!(schedule.startable(), 4);
    let second = schedule.take(now).unwrap();
    assert!(second.is_given_up && schedule.name(second.host) == "a");
    assert_eq!(takes(&mut schedule, now), [2, 3, 4]);

    // An answer to a request that was under way takes it back.
    schedule.give_up(now, host, false);
    schedule.put(now, "a", 5, 5, None);
    assert_eq!(takes(&mut schedule, now), [0; 0]);
    for _ in 0..5 {
        schedule.done(now, host);
    }
    assert_eq!(takes(&mut schedule, now + ms(1000)), [5]);
}

#[test]
fn starts_at_one_host_are_a_delay_apart() {
    let start = Instant::now();
    let mut schedule = Schedule::new(Limits { delay: ms(100), ..FREE });
    for (place, host) in ["a", "a", "b"].into_iter().enumerate() {
        schedule.put(start, host, place as u64, place, None);
    }

    assert_eq!(takes(&mut schedule, start), [0, 2]);
    assert_eq!(schedule.next_time(), Some(start + ms(100)));
    assert_eq!(takes(&mut schedule, start + ms(99)), [0; 0]);
    assert_eq!(takes(&mut schedule, start + ms(100)), [1]);
}

#[test]
fn the_delay_outlasts_the_last_item() {
    let start = Instant::now();
    let mut schedule = Schedule::new(Limits { delay: ms(100), ..FREE });
    schedule.put(start, "a", 0, 0, None);
    let turn = schedule.take(start).unwrap();
    schedule.done(start + ms(10), turn.host);

    schedule.put(start + ms(50), "a", 1, 1, None);

    assert_eq!(takes(&mut schedule, start + ms(50)), [0; 0]);
    assert_eq!(takes(&mut schedule, start + ms(100)), [1]);
}

#[test]
fn an_item_that_waits_lets_others_pass_and_then_goes_first() {
    let start = Instant::now();
    let mut schedule = Schedule::new(Limits { per_host: 1, ..FREE });
    schedule.put(start, "a", 0, 0, Some(start + ms(50)));
    schedule.put(start, "a", 1, 1, None);
    schedule.put(start, "a", 2, 2, None);

    let turn = schedule.take(start).unwrap();
    schedule.done(start + ms(60), turn.host);

    assert_eq!((turn.item, takes(&mut schedule, start + ms(60))), (1, vec![0]));
}

#[test]
fn a_host_that_refuses_is_left_alone_for_longer_each_time() {
    let start = Instant::now();
    let mut schedule = Schedule::new(FREE);
    for place in 0..3 {
        schedule.put(start, "a", place, place, None);
    }
    let pause = |refusals: u32| ms(100 * u64::from(refusals));

    let (one, two) = (schedule.take(start).unwrap(), schedule.take(start).unwrap());
    // Both were under way when the host refused: that is one refusal.
    for turn in [&one, &two] {
        schedule.back_off(start, turn.host, pause);
        schedule.done(start, turn.host);
    }
    assert_eq!(schedule.next_time(), Some(start + ms(100)));
    let three = schedule.take(start + ms(100)).unwrap();
    schedule.back_off(start + ms(100), three.host, pause);
    schedule.put(start + ms(100), "a", 3, 3, None);
    schedule.done(start + ms(100), three.host);
    assert_eq!(schedule.next_time(), Some(start + ms(300)));

    let four = schedule.take(start + ms(300)).unwrap();
    schedule.note_ok(four.host, None);
    schedule.back_off(start + ms(300), four.host, pause);
    schedule.put(start + ms(300), "a", 4, 4, None);
    schedule.done(start + ms(300), four.host);
    assert_eq!(schedule.next_time(), Some(start + ms(400)));
}

#[test]
fn the_first_of_a_host_goes_alone_until_the_host_is_open() {
    let start = Instant::now();
    let mut schedule = Schedule::new(Limits { first_alone: true, ..FREE });
    for place in 0..4 {
        schedule.put(start, "a", place, place, None);
    }

    let first = schedule.take(start).unwrap();
    assert_eq!(takes(&mut schedule, start), [0; 0]);
    schedule.set_crawl_delay(start, first.host, ms(20));

    assert_eq!(takes(&mut schedule, start + ms(19)), [0; 0]);
    assert_eq!(takes(&mut schedule, start + ms(20)), [1]);
}

#[test]
fn nothing_is_remembered_of_hosts_that_are_done() {
    let now = Instant::now();
    let mut schedule = Schedule::new(FREE);
    for place in 0..1000 {
        schedule.put(now, &format!("host-{place}"), place, (), None);
        let turn = schedule.take(now).unwrap();
        schedule.done(now, turn.host);
    }

    assert_eq!((schedule.names.len(), schedule.hosts.len()), (0, 1));
}

#[test]
fn no_more_hosts_are_remembered_than_the_bound() {
    let now = Instant::now();
    let mut schedule = Schedule::new(Limits { delay: ms(1000), ..FREE });
    for place in 0..HOSTS_REMEMBERED_MAX as u64 + 500 {
        schedule.put(now, &format!("host-{place}"), place, (), None);
        let turn = schedule.take(now).unwrap();
        schedule.done(now, turn.host);
    }

    assert_eq!(schedule.names.len(), HOSTS_REMEMBERED_MAX);
    assert!(!schedule.is_ready(now + ms(1000)));
    assert!(schedule.names.is_empty() && schedule.remembered.is_empty());
}

#[test]
fn what_waits_can_be_given_up() {
    let now = Instant::now();
    let mut schedule = Schedule::new(FREE);
    for place in 0..6 {
        let not_before = (place % 2 == 0).then(|| now + ms(50));
        schedule.put(now, if place < 4 { "a" } else { "b" }, place, place, not_before);
    }
    let turn = schedule.take(now).unwrap();

    let mut rest = schedule.drain();
    rest.sort_unstable();

    assert_eq!((turn.item, rest, schedule.waiting()), (1, vec![0, 2, 3, 4, 5], 0));
    schedule.done(now, turn.host);
    assert!(schedule.take(now + ms(100)).is_none());
}

/// The naive schedule.
#[derive(Clone)]
struct Naive {
    limits: Limits,
    waiting: Vec<(u64, usize, Instant)>,
    running: [usize; HOSTS],
    not_before: [Instant; HOSTS],
}

const HOSTS: usize = 4;

impl Naive {
    fn new(limits: Limits, now: Instant) -> Naive {
        Naive { limits, waiting: Vec::new(), running: [0; HOSTS], not_before: [now; HOSTS] }
    }

    fn may_start(&self, now: Instant, &(_, host, not_before): &(u64, usize, Instant)) -> bool {
        not_before <= now
            && self.not_before[host] <= now
            && self.running[host] < self.limits.per_host
    }

    /// Counts the items that could be taken one after the other.
    fn startable(&self, now: Instant) -> usize {
        let mut copy = self.clone();
        std::iter::from_fn(|| copy.take(now)).count()
    }

    fn take(&mut self, now: Instant) -> Option<(u64, usize)> {
        let next = (0..self.waiting.len())
            .filter(|&at| self.may_start(now, &self.waiting[at]))
            .min_by_key(|&at| self.waiting[at].0)?;
        let (place, host, _) = self.waiting.remove(next);
        self.running[host] += 1;
        self.not_before[host] = self.not_before[host].max(now + self.limits.delay);
        Some((place, host))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put { host: usize, wait_ms: u64 },
    Take,
    Done { which: usize, refused_ms: u64, again_ms: Option<u64> },
    Pass { ms: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..HOSTS, prop_oneof![2 => Just(0), 1 => 1..50u64])
            .prop_map(|(host, wait_ms)| Step::Put { host, wait_ms }),
        4 => Just(Step::Take),
        3 => (any::<prop::sample::Index>(), prop_oneof![3 => Just(0), 1 => 1..50u64],
              prop::option::weighted(0.3, 0..50u64))
            .prop_map(|(which, refused_ms, again_ms)| {
                Step::Done { which: which.index(64), refused_ms, again_ms }
            }),
        2 => (0..30u64).prop_map(|ms| Step::Pass { ms }),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// Whatever is put in whatever order, the schedule hands out the item that the naive one hands
    /// out: never too many of a host, never one before its time, none starved, and every item
    /// exactly once in the end.
    #[test]
    fn it_hands_out_what_a_search_of_the_whole_list_would(
        steps in steps(),
        per_host in 1..4usize,
        delay_ms in prop_oneof![Just(0), 1..40u64],
    ) {
        let limits = Limits { per_host, delay: ms(delay_ms), first_alone: false, throttle: None };
        let mut now = Instant::now();
        let (mut schedule, mut naive) = (Schedule::new(limits), Naive::new(limits, now));
        let mut running: Vec<(HostId, u64, usize)> = Vec::new();
        let (mut places, mut ended) = (0..200u64, Vec::new());
        // The rest is worked off at the end.
        let rest = (0..2000).flat_map(|_| {
            [Step::Take, Step::Done { which: 0, refused_ms: 0, again_ms: None }, Step::Pass { ms: 5 }]
        });
        let mut put = 0;
        for step in steps.into_iter().chain(rest) {
            match step {
                Step::Put { host, wait_ms } => {
                    let place = places.next().unwrap();
                    let not_before = now + ms(wait_ms);
                    schedule.put(now, &host.to_string(), place, place, Some(not_before));
                    naive.waiting.push((place, host, not_before));
                    put += 1;
                }
                Step::Take => {
                    prop_assert_eq!(
                        schedule.is_ready(now),
                        naive.waiting.iter().any(|item| naive.may_start(now, item))
                    );
                    prop_assert_eq!(schedule.startable(), naive.startable(now));
                    let (ours, theirs) = (schedule.take(now), naive.take(now));
                    prop_assert_eq!(ours.as_ref().map(|turn| turn.item), theirs.map(|(place, _)| place));
                    if let (Some(turn), Some((place, host))) = (ours, theirs) {
                        running.push((turn.host, place, host));
                    } else if let Some(time) = schedule.next_time() {
                        // Nothing may start before the time it names.
                        prop_assert!(time > now);
                        let almost = time - Duration::from_nanos(1);
                        prop_assert!(!naive.waiting.iter().any(|item| naive.may_start(almost, item)));
                    } else {
                        let far = now + ms(1_000_000);
                        prop_assert!(!naive.waiting.iter().any(|item| naive.may_start(far, item)));
                    }
                }
                Step::Done { which, refused_ms, again_ms } if !running.is_empty() => {
                    let (id, place, host) = running.remove(which % running.len());
                    if refused_ms > 0 {
                        schedule.back_off(now, id, |_| ms(refused_ms));
                        naive.not_before[host] = naive.not_before[host].max(now + ms(refused_ms));
                    }
                    match again_ms {
                        Some(wait) => {
                            let not_before = now + ms(wait);
                            schedule.put(now, &host.to_string(), place, place, Some(not_before));
                            naive.waiting.push((place, host, not_before));
                        }
                        None => ended.push(place),
                    }
                    schedule.done(now, id);
                    naive.running[host] -= 1;
                }
                Step::Done { .. } => {}
                Step::Pass { ms: passed } => now += ms(passed),
            }
            prop_assert_eq!(schedule.waiting(), naive.waiting.len());
            prop_assert_eq!(schedule.running(), running.len());
        }
        ended.sort_unstable();
        prop_assert!(ended.into_iter().eq(0..put));
        prop_assert_eq!((schedule.ready.len(), schedule.timers.len()), (0, 0));
    }
}

#[test]
fn a_throttled_host_is_asked_as_fast_as_it_answers() {
    let mut schedule = Schedule::new(Limits { throttle: Some(1.0), ..FREE });
    let start = Instant::now();
    for place in 0..30 {
        schedule.put(start, "a", place, place, None);
    }
    let first = schedule.take(start).unwrap();
    assert_eq!(schedule.take(start), None);

    schedule.note_ok(first.host, Some(ms(50)));
    schedule.done(start + ms(50), first.host);
    let second = schedule.take(start + ms(50)).unwrap();
    schedule.note_ok(second.host, Some(ms(50)));
    schedule.done(start + ms(60), second.host);
    assert_eq!(schedule.take(start + ms(99)), None);
    assert_eq!(schedule.next_time(), Some(start + ms(100)));

    schedule.note_timeout(second.host);
    assert!(schedule.take(start + ms(100)).is_some());
    assert_eq!(schedule.next_time(), None);
}
