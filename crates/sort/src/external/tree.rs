//! A tree of losers: which of many sorted runs has the lowest element (Knuth, volume 3, 5.4.1).
#![forbid(unsafe_code)]

/// A knock-out tournament of players 0 to n - 1. Every inner node remembers who lost there, so that
/// after the winner has changed only the games on its way up are played again.
pub(super) struct Tree {
    /// `losers[0]` is not used; the players stand behind the inner nodes.
    losers: Vec<usize>,
    winner: usize,
}

impl Tree {
    /// Plays all games. `beats(a, b)` says whether `a` comes before `b`.
    ///
    /// # Panics
    /// If there is no player.
    pub(super) fn new(players: usize, beats: impl Fn(usize, usize) -> bool) -> Self {
        assert!(players > 0, "a tournament needs a player");
        let mut winners: Vec<usize> = (0..players).chain(0..players).collect();
        let mut losers = vec![0; players];
        for node in (1..players).rev() {
            let (left, right) = (winners[2 * node], winners[2 * node + 1]);
            let left_wins = !beats(right, left);
            (winners[node], losers[node]) = if left_wins { (left, right) } else { (right, left) };
        }
        Tree { losers, winner: if players == 1 { 0 } else { winners[1] } }
    }

    /// Who comes first.
    #[inline]
    pub(super) fn winner(&self) -> usize {
        self.winner
    }

    /// Plays the games of the winner again, which is not what it was.
    #[inline]
    pub(super) fn replay(&mut self, beats: impl Fn(usize, usize) -> bool) {
        let mut best = self.winner;
        let mut node = usize::midpoint(best, self.losers.len());
        while node > 0 {
            let other = self.losers[node];
            if beats(other, best) {
                self.losers[node] = best;
                best = other;
            }
            node /= 2;
        }
        self.winner = best;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn merges_as_a_sort_does(
            mut runs in prop::collection::vec(prop::collection::vec(0_u32..20, 0..20), 1..9)
        ) {
            let mut expected = Vec::new();
            for (number, run) in runs.iter_mut().enumerate() {
                run.sort_unstable();
                expected.extend(run.iter().map(|&value| (value, number)));
            }
            expected.sort_unstable();
            let mut places = vec![0; runs.len()];
            let head = |places: &[usize], n: usize| (runs[n].get(places[n]).copied(), n);
            let first = |places: &[usize], a, b| {
                let key = |(value, n): (Option<u32>, usize)| (value.is_none(), value, n);
                key(head(places, a)) < key(head(places, b))
            };
            let mut tree = Tree::new(runs.len(), |a, b| first(&places, a, b));
            let mut found = Vec::new();
            while let (Some(value), number) = head(&places, tree.winner()) {
                found.push((value, number));
                places[number] += 1;
                tree.replay(|a, b| first(&places, a, b));
            }
            prop_assert_eq!(found, expected);
        }
    }
}
