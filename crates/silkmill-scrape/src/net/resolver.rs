//! Looks up the IP addresses of hosts, and caches them for a while.
//!
//! The system's own lookup cannot be interrupted and may take too long. So it runs on threads of
//! its own, a bounded number of them. A worker waits for it to a deadline, and all workers that
//! want the same host at the same time wait for the same lookup.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use silkmill::ThreadPoolExecutor;

use crate::error::io_error_in_words;
use crate::sync::{Condvar, Mutex};

/// How long the addresses of a host are cached. The system does not tell the time to live.
const NAME_AGE_MAX: Duration = Duration::from_secs(60);
/// The most hosts cached at once. Beyond that all are forgotten, which costs lookups and nothing
/// else.
const NAMES_MAX: usize = 4096;
/// The most lookups at once.
const LOOKUPS_MAX: usize = 16;

/// Finds the IP addresses of a host instead of the system.
pub(crate) type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// The IP addresses of a host, or why there are none.
type LookupResult = Result<Arc<[IpAddr]>, NotFound>;

/// Why a host has no IP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotFound {
    pub(crate) why: String,
    /// Whether the host may have one a little later.
    pub(crate) is_transient: bool,
}

/// Why a lookup has no result for the worker that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LookupError {
    /// The lookup was still under way at the deadline.
    TimedOut,
    NotFound(NotFound),
}

/// The resolver of one run, shared by all workers.
pub(crate) struct Resolver {
    lookup: Arc<Lookup>,
    threads: ThreadPoolExecutor,
    /// Written by the threads that look up, read by every worker, for the time of one access to the
    /// map.
    cache: Arc<Mutex<Cache>>,
}

#[derive(Default)]
struct Cache {
    hosts: HashMap<Box<str>, Entry>,
    /// Set once, when the run ends early: nothing is looked up any more.
    over: bool,
}

enum Entry {
    Known(Instant, LookupResult),
    Pending(Arc<Pending>),
}

/// The state of a host in the cache.
enum Answer {
    Known(LookupResult),
    /// The lookup to wait for.
    Pending(Arc<Pending>),
}

/// A lookup under way.
#[derive(Default)]
struct Pending {
    /// Written by the thread that looks up, or by the thread that ends the run.
    found: Mutex<Option<LookupResult>>,
    ready: Condvar,
}

impl Resolver {
    /// Makes a resolver. `lookup` stands for the system's, if it is given.
    pub(crate) fn new(lookup: Option<Arc<Lookup>>) -> Resolver {
        let threads = ThreadPoolExecutor::builder()
            .max_workers(LOOKUPS_MAX)
            .thread_name_prefix("resolve")
            .daemon(true)
            // A lookup that panics still answers, when its task is dropped.
            .on_unread_error(|_| {})
            .build()
            .expect("a pool with workers and no queue limit can be built");
        let lookup = lookup.unwrap_or_else(|| Arc::new(system));
        Resolver { lookup, threads, cache: Arc::default() }
    }

    /// Returns the IP addresses of `host`, at least one, if they are known by the deadline.
    pub(crate) fn find(&self, host: &str, deadline: Instant) -> Result<Arc<[IpAddr]>, LookupError> {
        let pending = match self.answer(host) {
            Answer::Known(found) => return found.map_err(LookupError::NotFound),
            Answer::Pending(pending) => pending,
        };
        let mut found = pending.found.lock();
        loop {
            if let Some(found) = &*found {
                return found.clone().map_err(LookupError::NotFound);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(LookupError::TimedOut);
            }
            found = pending.ready.wait_timeout(found, left);
        }
    }

    /// Answers every worker that waits, or would: the run is over. Lookups under way go on on their
    /// own threads, and their results are dropped.
    pub(crate) fn stop(&self) {
        let mut cache = self.cache.lock();
        cache.over = true;
        let hosts = std::mem::take(&mut cache.hosts);
        drop(cache);
        for entry in hosts.into_values() {
            if let Entry::Pending(pending) = entry {
                pending.answer(Err(NotFound::run_is_over()));
            }
        }
    }

    /// Returns the cached result, or the lookup to wait for, which this starts if it must.
    fn answer(&self, host: &str) -> Answer {
        let mut cache = self.cache.lock();
        if cache.over {
            return Answer::Known(Err(NotFound::run_is_over()));
        }
        let hosts = &mut cache.hosts;
        match hosts.get(host) {
            Some(Entry::Known(since, found)) if since.elapsed() < NAME_AGE_MAX => {
                return Answer::Known(found.clone());
            }
            Some(Entry::Pending(pending)) => return Answer::Pending(Arc::clone(pending)),
            _ => {}
        }
        if hosts.len() >= NAMES_MAX {
            hosts.retain(|_, entry| matches!(entry, Entry::Pending(_)));
        }
        let pending = Arc::new(Pending::default());
        hosts.insert(host.into(), Entry::Pending(Arc::clone(&pending)));
        drop(cache);
        let task = Task {
            host: host.into(),
            cache: Arc::clone(&self.cache),
            pending: Arc::clone(&pending),
            found: None,
        };
        let lookup = Arc::clone(&self.lookup);
        drop(self.threads.submit(move || task.run(&*lookup)));
        Answer::Pending(pending)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        // A lookup cannot be interrupted; its thread ends by itself, or with the process.
        self.threads.shutdown_timeout(Duration::ZERO);
    }
}

/// One lookup, which answers even when it panics.
struct Task {
    host: Box<str>,
    cache: Arc<Mutex<Cache>>,
    pending: Arc<Pending>,
    found: Option<LookupResult>,
}

impl Task {
    fn run(mut self, lookup: &Lookup) {
        // One reference is the task's own, the other the map's. When there is no third, no worker
        // waits.
        if Arc::strong_count(&self.pending) <= 2 {
            let gone =
                NotFound { why: "nobody waits for it any more".to_owned(), is_transient: true };
            self.found = Some(Err(gone));
            return;
        }
        self.found = Some(match lookup(&self.host) {
            Ok(addresses) if addresses.is_empty() => {
                Err(NotFound { why: "the host has no address".to_owned(), is_transient: false })
            }
            Ok(addresses) => Ok(addresses.into()),
            Err(error) => Err(NotFound::new(&error)),
        });
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let found = self.found.take().unwrap_or_else(|| {
            let why = "the lookup was lost; this is a mistake in silkmill".to_owned();
            Err(NotFound { why, is_transient: false })
        });
        let mut cache = self.cache.lock();
        match found.as_ref().is_err_and(|error| error.is_transient) {
            true => drop(cache.hosts.remove(&self.host)),
            false => {
                cache.hosts.insert(self.host.clone(), Entry::Known(Instant::now(), found.clone()));
            }
        }
        drop(cache);
        self.pending.answer(found);
    }
}

impl Pending {
    fn answer(&self, found: LookupResult) {
        *self.found.lock() = Some(found);
        self.ready.notify_all();
    }
}

impl NotFound {
    fn run_is_over() -> NotFound {
        NotFound { why: "the run is over".to_owned(), is_transient: false }
    }

    fn new(error: &io::Error) -> NotFound {
        let words = io_error_in_words(error);
        // The errors of the C library's lookup have no code in Rust, only a message.
        let words = words.strip_prefix("failed to lookup address information: ").unwrap_or(&words);
        let is_transient = words.to_ascii_lowercase().contains("temporary")
            || error.kind() == io::ErrorKind::TimedOut;
        let mut why = words.to_owned();
        why[..1.min(words.len())].make_ascii_lowercase();
        NotFound { why, is_transient }
    }
}

fn system(host: &str) -> io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in (host, 0).to_socket_addrs()?.map(|address: SocketAddr| address.ip()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    fn names(lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Resolver {
        Resolver::new(Some(Arc::new(lookup)))
    }

    fn not_found(found: Result<Arc<[IpAddr]>, LookupError>) -> NotFound {
        match found {
            Err(LookupError::NotFound(why)) => why,
            found => panic!("{found:?}"),
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn a_name_is_looked_up_once_for_all_who_ask() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let names = names(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(50));
            Ok(vec![[127, 0, 0, 1].into()])
        });

        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    assert_eq!(
                        names.find("a.test", soon()).unwrap()[..],
                        [IpAddr::from([127, 0, 0, 1])]
                    );
                });
            }
        });
        names.find("a.test", soon()).unwrap();

        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_lookup_that_hangs_is_waited_for_to_the_deadline_and_holds_up_nobody_else() {
        let (release, hanging) = mpsc::channel::<()>();
        let hanging = Mutex::new(hanging);
        let names = names(move |host| {
            if host == "hangs.test" {
                let _ = hanging.lock().recv();
            }
            Ok(vec![[127, 0, 0, 1].into()])
        });

        let deadline = Instant::now() + Duration::from_millis(50);
        assert_eq!(names.find("hangs.test", deadline), Err(LookupError::TimedOut));
        assert!(names.find("other.test", soon()).is_ok());
        // The lookup went on in the meantime, and answers the next worker.
        drop(release);
        assert!(names.find("hangs.test", soon()).is_ok());
    }

    #[test]
    fn who_waits_for_a_lookup_that_hangs_is_answered_when_the_run_ends() {
        let (release, hanging) = mpsc::channel::<()>();
        let hanging = Mutex::new(hanging);
        let (begins, begun) = mpsc::channel();
        let names = names(move |_| {
            begins.send(()).unwrap();
            let _ = hanging.lock().recv();
            Ok(vec![[127, 0, 0, 1].into()])
        });
        let over = Err(LookupError::NotFound(NotFound::run_is_over()));
        let far = Instant::now() + Duration::from_secs(600);

        thread::scope(|scope| {
            let waiting = scope.spawn(|| names.find("hangs.test", far));
            begun.recv().unwrap();
            names.stop();
            assert_eq!(waiting.join().unwrap(), over);
        });

        assert_eq!(names.find("other.test", far), over);
        drop(release);
    }

    #[test]
    fn a_failure_that_may_pass_is_not_remembered_and_one_that_stays_is() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let names = names(move |host| {
            counter.fetch_add(1, Ordering::SeqCst);
            match host {
                "empty.test" => Ok(Vec::new()),
                "stays.test" => Err(io::Error::other("Name or service not known")),
                _ => Err(io::Error::other("Temporary failure in name resolution")),
            }
        });
        let find = |host| not_found(names.find(host, soon()));

        for (host, is_transient) in
            [("stays.test", false), ("empty.test", false), ("passes.test", true)]
        {
            assert_eq!(find(host).is_transient, is_transient, "{host}");
            find(host);
        }
        assert_eq!(find("stays.test").why, "name or service not known");
        assert_eq!(asked.load(Ordering::SeqCst), 1 + 1 + 2);
    }

    #[test]
    fn a_lookup_that_panics_is_an_answer() {
        let names = names(|_| panic!("no"));
        assert!(not_found(names.find("a.test", soon())).why.contains("mistake"));
    }

    #[test]
    fn no_more_names_are_remembered_than_the_bound() {
        let names = names(|_| Ok(vec![[127, 0, 0, 1].into()]));
        for host in 0..NAMES_MAX + 10 {
            names.find(&host.to_string(), soon()).unwrap();
        }
        assert!(names.cache.lock().hosts.len() <= NAMES_MAX);
    }
}
