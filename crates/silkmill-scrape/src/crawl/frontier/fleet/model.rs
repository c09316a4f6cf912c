//! A model of what processes and the database say to each other, and all its states.
//!
//! Two processes crawl one host of two pages: the first leads to the second. What a process sends
//! may be applied late, again, or never. A lease ends for its process before it ends in the
//! database, unless the process is stopped or dead. Times are no numbers here: a lease is live or
//! has ended.

use std::collections::{HashMap, HashSet, VecDeque};

const PROCESSES: usize = 2;
const PAGES: usize = 2;
/// How often processes are replaced by new ones, and how many stops there are.
const DEATHS_MAX: u8 = 1;
const STOPS_MAX: u8 = 1;

/// The most processes that there ever are.
const EVER: usize = PROCESSES + DEATHS_MAX as usize;

/// A lease, by a number that no other lease that matters has.
type Token = u8;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    database: Database,
    processes: [Process; PROCESSES],
    /// What was sent and may still be applied.
    wire: Vec<Sent>,
    deaths: u8,
    stops: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Database {
    token: Option<Token>,
    /// Whether the time has not come from which another may have the host.
    is_live: bool,
    queue: [bool; PAGES],
    rows: [u8; PAGES],
    /// The number of the next return of each process that there ever was, as far as it matters.
    returns: [u8; EVER],
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Process {
    /// Its place among all processes that there ever were.
    id: usize,
    lease: Option<Token>,
    /// Whether the lease has not ended, by the clock of the process.
    is_live: bool,
    is_stopped: bool,
    /// A page that was requested, and not given back yet.
    page: Option<usize>,
    /// Whether it was sent, and no answer has come.
    is_sent: bool,
    number: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Sent {
    process: usize,
    number: u8,
    token: Token,
    page: usize,
}

impl World {
    fn new() -> World {
        World {
            database: Database {
                token: None,
                is_live: false,
                queue: std::array::from_fn(|page| page == 0),
                rows: [0; PAGES],
                returns: [0; EVER],
            },
            processes: std::array::from_fn(|id| Process { id, ..Process::default() }),
            wire: Vec::new(),
            deaths: 0,
            stops: 0,
        }
    }

    /// Returns every world that one step leads to.
    fn steps(&self) -> Vec<World> {
        let mut next = Vec::new();
        for place in 0..PROCESSES {
            self.steps_of(place, &mut next);
        }
        for (place, sent) in self.wire.iter().enumerate() {
            // It is applied, and may be again by a copy; or it is lost.
            let mut applied = self.clone();
            applied.wire.remove(place);
            next.push(applied.clone());
            applied.database.apply(sent);
            next.push(applied);
        }
        // The time of the database comes after that of the process, if it runs.
        let holder = self.processes.iter().find(|process| process.lease == self.database.token);
        let may_end = holder.is_none_or(|process| !process.is_live || process.is_stopped);
        if self.database.is_live && may_end {
            next.push(World {
                database: Database { is_live: false, ..self.database.clone() },
                ..self.clone()
            });
        }
        next.iter_mut().for_each(World::forget_what_is_past);
        next
    }

    /// Makes worlds equal that differ only in what cannot matter any more.
    fn forget_what_is_past(&mut self) {
        let returns = &mut self.database.returns;
        // What has an old number is never applied.
        self.wire.retain(|sent| sent.number == returns[sent.process]);
        for (id, number) in returns.iter_mut().enumerate() {
            let process = self.processes.iter_mut().find(|process| process.id == id);
            let base = process.as_ref().map_or(*number, |process| process.number);
            process.into_iter().for_each(|process| process.number -= base);
            let of_id = self.wire.iter_mut().filter(|sent| sent.process == id);
            of_id.for_each(|sent| sent.number -= base);
            *number -= base;
        }
        self.wire.sort_by_key(|sent| (sent.process, sent.number, sent.token, sent.page));
    }

    /// Returns a number that no lease has that anyone knows of.
    fn new_token(&self) -> Token {
        let held = self.processes.iter().filter_map(|process| process.lease);
        let known: HashSet<Token> = held
            .chain(self.database.token)
            .chain(self.wire.iter().map(|sent| sent.token))
            .collect();
        (0..).find(|token| !known.contains(token)).unwrap_or(Token::MAX)
    }

    fn steps_of(&self, place: usize, next: &mut Vec<World>) {
        let process = &self.processes[place];
        let mut add = |change: &dyn Fn(&mut World)| {
            let mut world = self.clone();
            change(&mut world);
            next.push(world);
        };
        if self.deaths < DEATHS_MAX {
            add(&|world| {
                // A new process has a record of its own. What the old one sent may be applied yet.
                let id = PROCESSES + usize::from(world.deaths);
                world.processes[place] = Process { id, ..Process::default() };
                world.deaths += 1;
            });
        }
        if process.is_stopped {
            return add(&|world| {
                let process = &mut world.processes[place];
                // The clock went on.
                (process.is_stopped, process.is_live) = (false, false);
            });
        }
        if self.stops < STOPS_MAX {
            add(&|world| {
                world.processes[place].is_stopped = true;
                world.stops += 1;
            });
        }
        if process.is_live {
            add(&|world| world.processes[place].is_live = false);
        }
        match (process.lease, process.page) {
            (None, None) if !self.database.is_live && self.database.queue.contains(&true) => {
                add(&|world| {
                    let token = Some(world.new_token());
                    (world.database.token, world.database.is_live) = (token, true);
                    let process = &mut world.processes[place];
                    (process.lease, process.is_live) = (token, true);
                });
            }
            // It sees what is in the queue now.
            (Some(_), None) if process.is_live => {
                for page in (0..PAGES).filter(|page| self.database.queue[*page]) {
                    add(&|world| world.processes[place].page = Some(page));
                }
            }
            (Some(token), Some(page)) if self.wire.len() < 2 => {
                // Sent for the first time, or again since no answer came.
                add(&|world| {
                    let number = world.processes[place].number;
                    let process = world.processes[place].id;
                    world.wire.push(Sent { process, number, token, page });
                    world.processes[place].is_sent = true;
                });
            }
            _ => {}
        }
        if process.is_sent && self.database.returns[process.id] == process.number + 1 {
            // The answer says that it was applied, and whether the lease is still ours.
            add(&|world| {
                let is_ours = world.database.token == world.processes[place].lease;
                let process = &mut world.processes[place];
                (process.page, process.is_sent) = (None, false);
                process.number += 1;
                if is_ours {
                    (process.is_live, world.database.is_live) = (true, true);
                } else {
                    (process.lease, process.is_live) = (None, false);
                }
            });
        }
        // With nothing to do it looks after its lease, or lets go of a host.
        if process.page.is_none() && process.lease.is_some() {
            add(&|world| {
                let is_ours = world.database.token == world.processes[place].lease;
                let process = &mut world.processes[place];
                (process.lease, process.is_live) = (None, false);
                if is_ours {
                    (world.database.token, world.database.is_live) = (None, false);
                }
            });
        }
    }

    fn check(&self) {
        let Database { queue, rows, .. } = &self.database;
        let mut is_found = true;
        for page in 0..PAGES {
            let count = u8::from(queue[page]) + rows[page];
            assert_eq!(count, u8::from(is_found), "page {page} is lost or doubled: {self:?}");
            is_found = rows[page] == 1;
        }
        let may_request = |process: &&Process| process.is_live && !process.is_stopped;
        let asking = self.processes.iter().filter(may_request).count();
        assert!(asking <= 1, "two processes may request the host: {self:?}");
    }

    fn is_over(&self) -> bool {
        self.database.rows == [1; PAGES]
    }
}

impl Database {
    /// What [`give_back`](super::giving_back::give_back) does, and in which order.
    fn apply(&mut self, sent: &Sent) {
        if self.returns[sent.process] != sent.number {
            return;
        }
        self.returns[sent.process] += 1;
        if self.token != Some(sent.token) || !std::mem::take(&mut self.queue[sent.page]) {
            return;
        }
        self.rows[sent.page] += 1;
        if let Some(link) = self.queue.get_mut(sent.page + 1) {
            *link = true;
        }
    }
}

#[test]
fn no_page_is_lost_or_doubled_in_any_state_and_each_can_come_to_the_end() {
    let mut numbers: HashMap<World, usize> = HashMap::from([(World::new(), 0)]);
    let mut queue = VecDeque::from([World::new()]);
    let (mut sources, mut ends): (Vec<Vec<usize>>, Vec<usize>) = (vec![Vec::new()], Vec::new());
    while let Some(world) = queue.pop_front() {
        world.check();
        let number = numbers[&world];
        if world.is_over() {
            ends.push(number);
            continue;
        }
        for next in world.steps() {
            let count = numbers.len();
            let to = *numbers.entry(next.clone()).or_insert(count);
            if to == count {
                sources.push(Vec::new());
                queue.push_back(next);
            }
            sources[to].push(number);
        }
    }
    assert!(numbers.len() > 10_000, "the model reaches {} states only", numbers.len());
    // From every state the end can be reached: backwards from the ends, all are found.
    let mut found: HashSet<usize> = ends.iter().copied().collect();
    while let Some(end) = ends.pop() {
        for source in &sources[end] {
            if found.insert(*source) {
                ends.push(*source);
            }
        }
    }
    assert_eq!(found.len(), numbers.len(), "some states have no way to the end");
}
