//! Random verbs do to a `StableVec` what they do to a `Vec`, and every element is dropped once.

use granule::array::StableVec;
use proptest::prelude::*;
use std::cell::Cell;
use std::rc::Rc;

/// Elements that there may be.
const MAX: usize = 2500;

/// An element that is counted while it lives. Long, so that some hundred of them are megabytes.
struct Element {
    first: u32,
    living: Rc<Cell<isize>>,
    #[expect(dead_code, reason = "makes the element cross pages")]
    room: [u8; 5000],
    last: u32,
}

impl Element {
    fn new(number: u32, living: &Rc<Cell<isize>>) -> Self {
        living.set(living.get() + 1);
        Element { first: number, living: living.clone(), room: [0; 5000], last: number }
    }

    fn number(&self) -> u32 {
        assert_eq!(self.first, self.last);
        self.first
    }
}

impl Clone for Element {
    fn clone(&self) -> Self {
        Element::new(self.number(), &self.living)
    }
}

impl Drop for Element {
    fn drop(&mut self) {
        self.living.set(self.living.get() - 1);
    }
}

/// Places are shares of 256 of what is possible.
#[derive(Clone, Copy, Debug)]
enum Verb {
    Push,
    Pop,
    Insert(usize),
    Remove(usize),
    SwapRemove(usize),
    Extend(usize),
    ExtendFiltered(usize),
    ExtendFromSlice(usize),
    Resize(usize),
    Truncate(usize),
    Clear,
    Drain { from: usize, to: usize, taken: usize },
    Retain(u32),
    Dedup(u32),
    Append(usize),
    Reserve(usize),
    ShrinkTo(usize),
    ShrinkToFit,
    Clone,
    Sort,
    IntoIter(usize),
}

fn verbs() -> impl Strategy<Value = Vec<Verb>> {
    let share = || 0usize..=256;
    let count = || 0usize..900;
    let verb = prop_oneof![
        3 => Just(Verb::Push),
        3 => Just(Verb::Pop),
        1 => share().prop_map(Verb::Insert),
        1 => share().prop_map(Verb::Remove),
        1 => share().prop_map(Verb::SwapRemove),
        2 => count().prop_map(Verb::Extend),
        1 => count().prop_map(Verb::ExtendFiltered),
        1 => count().prop_map(Verb::ExtendFromSlice),
        1 => count().prop_map(Verb::Resize),
        2 => share().prop_map(Verb::Truncate),
        1 => Just(Verb::Clear),
        1 => (share(), share(), share())
            .prop_map(|(from, to, taken)| Verb::Drain { from, to, taken }),
        1 => (1u32..5).prop_map(Verb::Retain),
        1 => (1u32..5).prop_map(Verb::Dedup),
        1 => count().prop_map(Verb::Append),
        1 => count().prop_map(Verb::Reserve),
        1 => count().prop_map(Verb::ShrinkTo),
        1 => Just(Verb::ShrinkToFit),
        1 => Just(Verb::Clone),
        1 => Just(Verb::Sort),
        1 => share().prop_map(Verb::IntoIter),
    ];
    prop::collection::vec(verb, 0..40)
}

/// Both, each with the count of its living elements.
struct Twins {
    real: StableVec<Element>,
    model: Vec<Element>,
    living: [Rc<Cell<isize>>; 2],
    next: u32,
}

impl Twins {
    fn element(&mut self) -> (Element, Element) {
        self.next += 1;
        (Element::new(self.next, &self.living[0]), Element::new(self.next, &self.living[1]))
    }

    fn elements(&mut self, count: usize) -> (Vec<Element>, Vec<Element>) {
        // Some neighbours are equal.
        let first = self.next;
        self.next += count as u32;
        let all = |living| (0..count as u32).map(|n| Element::new(first + n / 3, living)).collect();
        (all(&self.living[0]), all(&self.living[1]))
    }

    fn fits(&self, more: usize) -> bool {
        self.model.len() + more <= MAX
    }

    fn apply(&mut self, verb: Verb) {
        let len = self.model.len();
        let at = |share: usize, count: usize| count * share / 256;
        match verb {
            Verb::Push => {
                let (a, b) = self.element();
                let done = self.real.try_push(a);
                assert_eq!(done.is_ok(), len < MAX);
                if done.is_ok() {
                    self.model.push(b);
                }
            }
            Verb::Pop => assert_eq!(
                self.real.pop().map(|element| element.number()),
                self.model.pop().map(|element| element.number())
            ),
            Verb::Insert(share) if self.fits(1) => {
                let (a, b) = self.element();
                self.real.insert(at(share, len), a);
                self.model.insert(at(share, len), b);
            }
            Verb::Remove(share) if len > 0 => {
                let place = at(share, len - 1);
                assert_eq!(self.real.remove(place).number(), self.model.remove(place).number());
            }
            Verb::SwapRemove(share) if len > 0 => {
                let place = at(share, len - 1);
                let taken = self.real.swap_remove(place).number();
                assert_eq!(taken, self.model.swap_remove(place).number());
            }
            Verb::Extend(count) | Verb::ExtendFiltered(count) | Verb::ExtendFromSlice(count) => {
                self.extend(verb, count);
            }
            Verb::Resize(count) => {
                let (a, b) = self.element();
                self.real.resize(count, a);
                self.model.resize(count, b);
            }
            Verb::Truncate(share) => {
                self.real.truncate(at(share, len));
                self.model.truncate(at(share, len));
            }
            Verb::Clear => {
                self.real.clear();
                self.model.clear();
            }
            Verb::Drain { from, to, taken } => {
                let range = at(from.min(to), len)..at(from.max(to), len);
                let count = at(taken, range.len());
                let numbers: Vec<u32> =
                    self.real.drain(range.clone()).take(count).map(|one| one.number()).collect();
                let drain = self.model.drain(range);
                assert_eq!(numbers, drain.take(count).map(|one| one.number()).collect::<Vec<_>>());
            }
            _ => self.apply_to_all(verb),
        }
    }

    fn extend(&mut self, verb: Verb, count: usize) {
        let (a, b) = self.elements(count);
        let done = match verb {
            Verb::Extend(_) => self.real.try_extend(a),
            Verb::ExtendFiltered(_) => self.real.try_extend(a.into_iter().filter(|_| true)),
            _ => self.real.try_extend_from_slice(&a),
        };
        assert_eq!(done.is_ok(), self.fits(count));
        if done.is_ok() {
            self.model.extend(b);
        }
    }

    fn apply_to_all(&mut self, verb: Verb) {
        let len = self.model.len();
        match verb {
            Verb::Retain(divisor) => {
                self.real.retain(|element| !element.number().is_multiple_of(divisor));
                self.model.retain(|element| !element.number().is_multiple_of(divisor));
            }
            Verb::Dedup(divisor) => {
                self.real.dedup_by_key(|element| element.number() / divisor);
                self.model.dedup_by_key(|element| element.number() / divisor);
            }
            Verb::Append(count) => {
                let (a, mut b) = self.elements(count);
                let mut a = StableVec::from(a);
                if self.fits(count) {
                    self.real.append(&mut a);
                    self.model.append(&mut b);
                    assert!(a.is_empty());
                } else {
                    assert!(self.real.try_append(&mut a).is_err());
                    assert_eq!(a.len(), count);
                }
            }
            Verb::Reserve(count) => {
                assert_eq!(self.real.try_reserve(count).is_ok(), self.fits(count));
                assert!(!self.fits(count) || self.real.capacity() >= len + count);
            }
            Verb::ShrinkTo(count) => self.real.shrink_to(count),
            Verb::ShrinkToFit => self.real.shrink_to_fit(),
            Verb::Clone => {
                self.real = self.real.clone();
                self.model = self.model.clone();
            }
            Verb::Sort => {
                self.real.sort_by_key(|element| u32::MAX - element.number());
                self.model.sort_by_key(|element| u32::MAX - element.number());
            }
            Verb::IntoIter(share) => {
                let mut rest = std::mem::replace(&mut self.real, empty()).into_iter();
                rest.by_ref().take(len * share / 256).for_each(drop);
                self.real.extend(rest);
                self.model.drain(..len * share / 256);
            }
            _ => {}
        }
    }

    fn check(&self) {
        assert_eq!(self.living[0], self.living[1], "each element is dropped once");
        assert!(self.real.iter().map(Element::number).eq(self.model.iter().map(Element::number)));
        let (len, capacity) = (self.real.len(), self.real.capacity());
        assert!(len <= capacity && capacity <= MAX);
        assert!(capacity * size_of::<Element>() <= self.real.committed_len());
    }
}

fn empty() -> StableVec<Element> {
    StableVec::with_max(MAX)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn it_does_what_a_vec_does(verbs in verbs(), guard in any::<bool>()) {
        let builder = StableVec::builder().max(MAX);
        let real = if guard { builder.guard_spare() } else { builder }.build();
        let mut twins = Twins { real, model: Vec::new(), living: Default::default(), next: 0 };
        let mut addr = None;
        for verb in verbs {
            twins.apply(verb);
            twins.check();
            if matches!(verb, Verb::Clone | Verb::IntoIter(_)) {
                addr = None; // another array
            }
            if twins.real.committed_len() > 0 {
                prop_assert_eq!(*addr.get_or_insert(twins.real.as_ptr()), twins.real.as_ptr());
            }
        }
        let Twins { real, model, living, .. } = twins;
        drop((real, model));
        prop_assert_eq!(living, [Rc::default(), Rc::default()]);
    }
}
