//! A tree of losers: which of many sorted runs has the lowest element (Knuth, volume 3, 5.4.1).
#![forbid(unsafe_code)]

use std::cmp::Ordering;
use std::hint::select_unpredictable;

/// A run in the tournament, with the rank of its next element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Player {
    rank: u64,
    /// Its number; of one that is over, with [`OVER`].
    seat: u64,
}

/// Above all numbers of players: of those that are over none comes before one that is not.
const OVER: u64 = 1 << 63;

impl Player {
    /// One whose next element has this rank.
    #[inline]
    pub(super) fn new(number: usize, rank: u64) -> Self {
        Player { rank, seat: number as u64 }
    }

    /// One that has no more elements.
    #[inline]
    pub(super) fn over(number: usize) -> Self {
        Player { rank: u64::MAX, seat: number as u64 | OVER }
    }

    /// Which one it is.
    #[inline]
    pub(super) fn number(self) -> usize {
        (self.seat & !OVER) as usize
    }

    /// Whether it has no more elements.
    #[inline]
    pub(super) fn is_over(self) -> bool {
        self.seat >= OVER
    }
}

/// How elements of equal rank are ordered.
pub(super) trait EqualRanks {
    /// Whether they are equal.
    fn are_equal(&self) -> bool;

    /// Which of the next elements of two players comes first.
    fn compare(&self, left: usize, right: usize) -> Ordering;
}

/// A knock-out tournament. Every inner node remembers who lost there, so that after the winner has
/// changed only the games on its way up are played again. Ranks lie in the tree, so that a game
/// looks at nothing else; and who wins is no branch, because nobody can predict it.
pub(super) struct Tree {
    /// `losers[0]` is the winner; the players stand behind the inner nodes.
    losers: Vec<Player>,
}

impl Tree {
    /// Plays all games of players 0, 1 and so on.
    pub(super) fn new(players: &[Player], equal: &impl EqualRanks) -> Self {
        // All ways up have the same length: what is missing is over.
        let len = players.len().next_power_of_two();
        let missing = (players.len()..len).map(Player::over);
        let players: Vec<Player> = players.iter().copied().chain(missing).collect();
        let mut winners = [&players[..], &players].concat();
        let mut losers = winners[..len].to_vec();
        for node in (1..len).rev() {
            (winners[node], losers[node]) = game(winners[2 * node], winners[2 * node + 1], equal);
        }
        losers[0] = winners[1];
        Tree { losers }
    }

    /// Who comes first.
    #[inline]
    pub(super) fn winner(&self) -> Player {
        self.losers[0]
    }

    /// Plays the games of the winner again, which is not what it was.
    #[inline]
    pub(super) fn replay(&mut self, winner: Player, equal: &impl EqualRanks) {
        let mut best = winner;
        let mut node = usize::midpoint(best.number(), self.losers.len());
        while node > 0 {
            (best, self.losers[node]) = game(best, self.losers[node], equal);
            node /= 2;
        }
        self.losers[0] = best;
    }
}

/// The winner, and the loser.
#[inline]
fn game(one: Player, other: Player, equal: &impl EqualRanks) -> (Player, Player) {
    let other_wins = match equal.are_equal() {
        false if one.rank == other.rank && !one.is_over() && !other.is_over() => {
            let order = equal.compare(other.number(), one.number());
            order.then(other.seat.cmp(&one.seat)).is_lt()
        }
        _ => (other.rank < one.rank) | ((other.rank == one.rank) & (other.seat < one.seat)),
    };
    let best = Player {
        rank: select_unpredictable(other_wins, other.rank, one.rank),
        seat: select_unpredictable(other_wins, other.seat, one.seat),
    };
    let worst = Player {
        rank: select_unpredictable(other_wins, one.rank, other.rank),
        seat: select_unpredictable(other_wins, one.seat, other.seat),
    };
    (best, worst)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Runs, and how far each is read.
    struct Runs {
        runs: Vec<Vec<u64>>,
        places: Vec<usize>,
        /// A rank is the number without so many low bits.
        hidden: u32,
    }

    impl Runs {
        fn head(&self, number: usize) -> Option<u64> {
            self.runs[number].get(self.places[number]).copied()
        }

        fn player(&self, number: usize) -> Player {
            let of = |value: u64| Player::new(number, value >> self.hidden);
            self.head(number).map_or(Player::over(number), of)
        }
    }

    impl EqualRanks for Runs {
        fn are_equal(&self) -> bool {
            self.hidden == 0
        }

        fn compare(&self, left: usize, right: usize) -> Ordering {
            self.head(left).cmp(&self.head(right))
        }
    }

    proptest! {
        #[test]
        fn merges_as_a_sort_does(
            mut runs in prop::collection::vec(
                prop::collection::vec(prop_oneof![0_u64..20, Just(u64::MAX)], 0..20), 1..18
            ),
            hidden in 0_u32..4,
        ) {
            let mut expected = Vec::new();
            for (number, run) in runs.iter_mut().enumerate() {
                run.sort_unstable();
                expected.extend(run.iter().map(|&value| (value, number)));
            }
            expected.sort_unstable();
            let mut runs = Runs { places: vec![0; runs.len()], runs, hidden };
            let players: Vec<Player> = (0..runs.runs.len()).map(|n| runs.player(n)).collect();
            let mut tree = Tree::new(&players, &runs);
            let mut found = Vec::new();
            while !tree.winner().is_over() {
                let number = tree.winner().number();
                found.push((runs.head(number).expect("it is not over"), number));
                runs.places[number] += 1;
                tree.replay(runs.player(number), &runs);
            }
            prop_assert_eq!(found, expected);
        }
    }
}
