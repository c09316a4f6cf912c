use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::crawl::frontier::Origin;
use crate::run::throttle::Learned;

mod large;

/// What happens to a frontier.
#[derive(Clone, Debug)]
enum Step {
    Add {
        host: u8,
        page: u8,
        depth: u32,
    },
    GiveBack {
        at: prop::sample::Index,
        has_row: bool,
    },
    SetAside {
        host: u8,
    },
    Lease {
        host: u8,
        urls_max: usize,
        held: BTreeSet<u8>,
    },
    LeaseHosts {
        held: u8,
    },
    Commit,
    /// The process dies, and another one goes on.
    Die,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let held = prop::collection::btree_set(0..8u8, 0..4);
    let step = prop_oneof![
        8 => (0..4u8, 0..40u8, 0..3u32).prop_map(|(host, page, depth)| Step::Add { host, page, depth }),
        4 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(at, has_row)| Step::GiveBack { at, has_row }),
        1 => (0..4u8).prop_map(|host| Step::SetAside { host }),
        3 => (0..4u8, 0..5usize, held)
            .prop_map(|(host, urls_max, held)| Step::Lease { host, urls_max, held }),
        2 => (0..5u8).prop_map(|held| Step::LeaseHosts { held }),
        2 => Just(Step::Commit),
        1 => Just(Step::Die),
    ];
    prop::collection::vec(step, 0..120)
}

/// The same in memory, without a thought for size or speed.
#[derive(Clone, Debug, Default)]
struct Model {
    hosts: Vec<u8>,
    seen: BTreeSet<(u8, u8)>,
    queue: BTreeMap<Place, String>,
    aside: BTreeMap<Place, String>,
    rows: BTreeMap<HostNumber, u64>,
    reached: u64,
    found: i64,
}

impl Model {
    fn number(&mut self, host: u8) -> HostNumber {
        let place = self.hosts.iter().position(|one| *one == host).unwrap_or_else(|| {
            self.hosts.push(host);
            self.hosts.len() - 1
        });
        place as HostNumber + 1
    }

    fn of_host(&self, host: HostNumber) -> Vec<Place> {
        self.queue.keys().filter(|place| place.host == host).copied().collect()
    }
}

fn url(host: u8, page: u8) -> String {
    format!("http://h{host}/{page}")
}

fn check(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job");
    let words = [("scope".to_owned(), "host".to_owned())];
    let mut job = CrawlJob::open(&path, &words).unwrap();
    let (mut model, mut committed) = (Model::default(), Model::default());
    for step in steps {
        match step {
            Step::Add { host, page, depth } => {
                let (name, url) = (format!("h{host}:80"), url(host, page));
                let origin = Origin { parent: Some(page.into()), ..Origin::default() };
                let hash = u64::from(page) << 56 | 7;
                let new = NewUrl { url: &url, host: &name, hash, depth, origin };
                let is_new = job.add(&new).unwrap();
                let number = model.number(host);
                assert_eq!(is_new, model.seen.insert((host, page)));
                if is_new {
                    model.queue.insert(Place { host: number, depth, number: model.found }, url);
                    model.found += 1;
                }
            }
            Step::GiveBack { at, has_row } => {
                let places: Vec<Place> = model.queue.keys().copied().collect();
                if places.is_empty() {
                    continue;
                }
                let place = *at.get(&places);
                job.give_back(place, has_row).unwrap();
                model.queue.remove(&place);
                *model.rows.entry(place.host).or_default() += u64::from(has_row);
                model.reached += u64::from(has_row);
            }
            Step::SetAside { host } => {
                let number = model.number(host);
                job.number_of(&format!("h{host}:80")).unwrap();
                job.set_aside(number).unwrap();
                for place in model.of_host(number) {
                    let url = model.queue.remove(&place).unwrap();
                    model.aside.insert(place, url);
                }
            }
            Step::Lease { host, urls_max, held } => {
                let number = model.number(host);
                job.number_of(&format!("h{host}:80")).unwrap();
                let places = model.of_host(number);
                let held: Vec<Place> =
                    held.iter().filter_map(|at| places.get(*at as usize)).copied().collect();
                let is_held = |place: &Place| held.contains(place);
                let leased = job.lease_urls(number, urls_max, held.len(), &is_held).unwrap();
                let expected = places.iter().filter(|place| !is_held(place)).take(urls_max);
                let expected: Vec<&Place> = expected.collect();
                assert_eq!(leased.iter().map(|url| &url.place).collect::<Vec<_>>(), expected);
                for waiting in leased {
                    assert_eq!(waiting.url, model.queue[&waiting.place]);
                    assert!(waiting.url.ends_with(&format!("/{}", waiting.origin.parent.unwrap())));
                }
            }
            Step::LeaseHosts { held } => {
                let held = HostNumber::from(held);
                let leased = job.lease_hosts(100, 1, &|host| host == held).unwrap();
                let hosts: BTreeMap<HostNumber, u64> =
                    leased.iter().map(|host| (host.number, host.rows)).collect();
                assert_eq!(hosts.len(), leased.len());
                let expected =
                    model.queue.keys().map(|place| place.host).filter(|host| *host != held);
                let rows = |host| (host, model.rows.get(&host).copied().unwrap_or(0));
                assert_eq!(hosts, expected.map(rows).collect());
            }
            Step::Commit => {
                let reached =
                    Reached { rows: model.reached, mark: vec![1, 2], ..Reached::default() };
                job.commit(&reached).unwrap();
                committed = model.clone();
            }
            Step::Die => {
                drop(job);
                job = CrawlJob::open(&path, &words).unwrap();
                // What was set aside is looked at again.
                committed.queue.append(&mut committed.aside);
                model = committed.clone();
                assert_eq!(job.rows(), model.reached);
            }
        }
        assert_eq!(job.is_empty().unwrap(), model.queue.is_empty() && model.aside.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_job_does_what_a_simple_frontier_does_through_every_death(steps in steps()) {
        check(steps);
    }
}

#[test]
fn an_error_about_a_job_names_its_path_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("job");
    let error = CrawlJob::open(&path, &[]).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("failed to open the crawl's job {path:?}: unable to open database file")
    );
}

#[test]
fn a_host_rests_where_an_earlier_run_may_have_asked_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job");
    let mut job = CrawlJob::open(&path, &[]).unwrap();
    for host in ["slow:80", "paused:80", "quick:80"] {
        let new = NewUrl { url: "http://x/", host, hash: 1, depth: 0, origin: Origin::default() };
        job.add(&new).unwrap();
    }
    let (delay, pause) = (Duration::from_secs(50), Duration::from_secs(30));
    let learned = Learned { delay: Duration::from_millis(750), latency: Some(pause) };
    job.note_host("slow:80", &HostPace { delay, learned, ..HostPace::default() }).unwrap();
    job.note_host("paused:80", &HostPace { pause, ..HostPace::default() }).unwrap();
    // In the run that has just begun nothing was asked before.
    assert!(job.lease_hosts(1, 0, &|_| false).unwrap()[0].rest.is_zero());
    job.commit(&Reached::default()).unwrap();
    drop(job);

    let mut job = CrawlJob::open(&path, &[]).unwrap();

    let leased = job.lease_hosts(9, 0, &|_| false).unwrap();
    let slow = leased.iter().find(|host| host.name == "slow:80").unwrap();
    assert_eq!(slow.learned, learned);
    let rests: BTreeMap<String, Duration> =
        leased.into_iter().map(|host| (host.name, host.rest)).collect();
    assert!(rests["slow:80"] > delay / 2 && rests["slow:80"] <= delay);
    assert!(rests["paused:80"] > pause / 2 && rests["paused:80"] <= pause);
    assert!(rests["quick:80"].is_zero());
}

#[test]
fn a_host_that_is_found_late_is_leased_however_many_are_held() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = CrawlJob::open(&folder.path().join("job"), &[]).unwrap();
    let add = |job: &mut CrawlJob, host: u64| {
        let name = format!("h{host}:80");
        let new =
            NewUrl { url: "http://x/", host: &name, hash: 1, depth: 0, origin: Origin::default() };
        assert!(job.add(&new).unwrap());
    };
    (0..1500).for_each(|host| add(&mut job, host));
    let mut held = std::collections::HashSet::new();
    loop {
        let leased = job.lease_hosts(64, held.len(), &|host| held.contains(&host)).unwrap();
        let is_last = leased.len() < 64;
        held.extend(leased.into_iter().map(|host| host.number));
        if is_last {
            break;
        }
    }
    assert_eq!(held.len(), 1500);
    assert!(job.lease_hosts(64, 1500, &|host| held.contains(&host)).unwrap().is_empty());

    add(&mut job, 1500);
    let late = job.lease_hosts(64, 1500, &|host| held.contains(&host)).unwrap();
    assert_eq!(late.iter().map(|host| host.name.as_str()).collect::<Vec<_>>(), ["h1500:80"]);
    // One that was let go, and comes first.
    held.insert(late[0].number);
    held.remove(&1);
    let again = job.lease_hosts(64, 1500, &|host| held.contains(&host)).unwrap();
    assert_eq!(again.iter().map(|host| host.number).collect::<Vec<_>>(), [1]);
}
