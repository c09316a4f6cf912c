//! The part of a list that a run requests: `I/N`.

use std::num::NonZeroU64;

use silkmill_scrape::host_bucket;

/// Shard `index`, from 0, of `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    index: u64,
    count: NonZeroU64,
}

impl Shard {
    pub(super) fn parse(text: &str) -> Result<Shard, String> {
        let parsed = text.split_once('/').and_then(|(index, count)| {
            Some(Shard { index: number(index)?, count: NonZeroU64::new(number(count)?)? })
        });
        let shard = parsed.ok_or("a shard is I/N, as in 0/4")?;
        match shard.index < shard.count.get() {
            true => Ok(shard),
            false => {
                let last = shard.count.get() - 1;
                Err(format!(
                    "shards are counted from 0, and the last one of {} is {last}",
                    shard.count
                ))
            }
        }
    }

    /// Tells whether a line is in this shard.
    pub(crate) fn holds(self, line: &str) -> bool {
        host_bucket(line, self.count) == self.index
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_one_of_so_many() {
        let shard = |index, count| Shard { index, count: NonZeroU64::new(count).unwrap() };
        assert_eq!(Shard::parse("0/1"), Ok(shard(0, 1)));
        assert_eq!(Shard::parse("3/04"), Ok(shard(3, 4)));
        for text in ["", "1", "/", "1/", "/2", "0/0", "-1/2", "+1/2", "1/2/3", "a/b", "0 / 2"] {
            assert_eq!(Shard::parse(text).unwrap_err(), "a shard is I/N, as in 0/4", "{text}");
        }
        let error = Shard::parse("4/4").unwrap_err();
        assert_eq!(error, "shards are counted from 0, and the last one of 4 is 3");
    }
}
