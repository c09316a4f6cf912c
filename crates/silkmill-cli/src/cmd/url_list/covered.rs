//! How much of its list a run has covered. The source of the run notes it, and the progress line
//! estimates from it how much is left.

/// The part of the list that was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Covered {
    /// The inputs taken: those of the command line and those of the list, also when they have their
    /// row already or belong to another shard.
    pub(super) taken: u64,
    /// Those of them that belong to other shards, and get no row here.
    pub(super) of_others: u64,
    /// The inputs taken from the list.
    pub(super) of_list: u64,
    /// The bytes of the list that these inputs took.
    pub(super) list_bytes_read: u64,
    /// The bytes of the whole list, if that is known: it is a file.
    pub(super) list_bytes: Option<u64>,
    /// Whether there are no more inputs.
    pub(super) is_all: bool,
}

/// The number of inputs of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Total {
    Unknown,
    About(u64),
    Exactly(u64),
}

impl Covered {
    /// Returns how many of so many inputs get a row here, by the share of those taken so far.
    pub(super) fn own(&self, inputs: u64) -> f64 {
        let own = self.taken.saturating_sub(self.of_others) as f64 / self.taken.max(1) as f64;
        inputs as f64 * own
    }

    /// Returns how many inputs there are in all, by the mean length of those taken so far.
    pub(super) fn total(&self) -> Total {
        let Covered { taken, of_list, list_bytes_read: read, .. } = *self;
        match self.list_bytes {
            _ if self.is_all => Total::Exactly(taken),
            Some(bytes) if read > 0 && of_list > 0 => {
                let left = bytes.saturating_sub(read);
                let inputs_left = u128::from(left) * u128::from(of_list) / u128::from(read);
                Total::About(taken.saturating_add(u64::try_from(inputs_left).unwrap_or(u64::MAX)))
            }
            _ => Total::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_list_is_as_dense_as_its_beginning() {
        let covered = Covered {
            taken: 12,
            of_others: 9,
            of_list: 10,
            list_bytes_read: 300,
            list_bytes: Some(3_000),
            is_all: false,
        };
        assert_eq!(covered.total(), Total::About(102));
        assert_eq!((covered.own(80), Covered::default().own(80)), (20.0, 0.0));
        // A file may have grown, or lose its end.
        assert_eq!(Covered { list_bytes: Some(100), ..covered }.total(), Total::About(12));
        assert_eq!(Covered { list_bytes: None, ..covered }.total(), Total::Unknown);
        assert_eq!(Covered::default().total(), Total::Unknown);
        assert_eq!(Covered { is_all: true, ..covered }.total(), Total::Exactly(12));
    }
}
