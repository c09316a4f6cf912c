//! Says whether a run waits for the disk.

/// Whether what is written is forced to disk before the run goes on. What is not forced may be lost
/// in a power cut, but not in a crash of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    Forced,
    Unforced,
}

impl Durability {
    /// Returns the durability that an option `sync` asks for.
    pub(crate) fn of(sync: bool) -> Durability {
        if sync { Durability::Forced } else { Durability::Unforced }
    }

    pub(crate) fn is_forced(self) -> bool {
        self == Durability::Forced
    }
}
