//! Floor 2, uses floor 1. The advice that a reservation remembers.
#![forbid(unsafe_code)]

use crate::sys::Advice;

/// What a fresh mapping has to be told again: at most one advice of each group, two bits for each.
/// What a fresh mapping is anyway is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Remembered(u32);

/// The groups, and the advice in them that is not how every mapping begins.
const GROUPS: [[Option<Advice>; 2]; 4] = [
    [Some(Advice::Sequential), Some(Advice::Random)],
    [Some(Advice::HugePages), Some(Advice::NoHugePages)],
    [Some(Advice::NoDump), None],
    [Some(Advice::NoFork), Some(Advice::WipeOnFork)],
];

impl Remembered {
    pub(super) const fn from_bits(bits: u32) -> Self {
        Remembered(bits)
    }

    pub(super) const fn bits(self) -> u32 {
        self.0
    }

    /// With `advice` in place of the one of its group; the same if it is done once and forgotten.
    pub(super) const fn with(self, advice: Advice) -> Self {
        let (group, code) = match advice {
            Advice::Normal => (0, 0),
            Advice::Sequential => (0, 1),
            Advice::Random => (0, 2),
            Advice::HugePages => (1, 1),
            Advice::NoHugePages => (1, 2),
            Advice::Dump => (2, 0),
            Advice::NoDump => (2, 1),
            Advice::Fork => (3, 0),
            Advice::NoFork => (3, 1),
            Advice::WipeOnFork => (3, 2),
            Advice::WillNeed | Advice::Cold | Advice::PageOut | Advice::Collapse => return self,
        };
        Remembered(self.0 & !(3 << (2 * group)) | code << (2 * group))
    }

    /// What has to be told again.
    pub(super) fn iter(self) -> impl Iterator<Item = Advice> {
        GROUPS.into_iter().enumerate().filter_map(move |(group, choices)| {
            let code = (self.0 >> (2 * group) & 3) as usize;
            code.checked_sub(1).and_then(|index| choices.get(index).copied().flatten())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_last_word_of_each_group_is_remembered() {
        let told = |advice: &[Advice]| -> Vec<Advice> {
            let start = Remembered::default();
            advice.iter().fold(start, |all, &one| all.with(one)).iter().collect()
        };
        use Advice::*;
        assert_eq!(told(&[]), []);
        assert_eq!(told(&[Random, Sequential]), [Sequential]);
        assert_eq!(told(&[Random, Normal, NoDump, Dump, NoFork, Fork]), []);
        assert_eq!(told(&[HugePages, NoHugePages, WipeOnFork]), [NoHugePages, WipeOnFork]);
        assert_eq!(told(&[NoDump, WillNeed, Cold, PageOut, Collapse]), [NoDump]);
        for one in [Sequential, Random, HugePages, NoHugePages, NoDump, NoFork, WipeOnFork] {
            assert_eq!(told(&[one]), [one], "and nothing else");
        }
    }
}
