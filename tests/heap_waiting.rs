//! What others have freed of a thread that sleeps: its memory goes back without it.
//!
//! One test alone, and a process for each story: it looks at what the process has in memory.

mod start;

use granule::Granule;
use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

const TOTAL: usize = 190 << 20;
/// The same where nobody tells what is in memory: more than what may wait.
const UNSEEN_TOTAL: usize = 30 << 20;
const LEFT_MAX: usize = 35 << 20;

/// A block of so many bytes, which its first and its last name.
struct Block(NonNull<u8>, usize);

// SAFETY: a block may be used and freed by any thread.
unsafe impl Send for Block {}

impl Block {
    fn new(len: usize) -> Self {
        let layout = Layout::from_size_align(len, 8).expect("a layout");
        let block = Granule.allocate(layout).expect("memory");
        // SAFETY: a new block of that many bytes.
        unsafe { block.write_bytes(len as u8, len) };
        Block(block, len)
    }

    fn free(self) {
        let Block(block, len) = self;
        for offset in [0, len - 1] {
            // SAFETY: inside the block.
            let place = unsafe { block.add(offset) };
            // SAFETY: in use, and written.
            let byte = unsafe { place.read() };
            assert_eq!(byte, len as u8, "byte {offset} of {len} at {block:?}");
        }
        // SAFETY: (1) in use, and not used again.
        unsafe { Granule.deallocate(block) };
    }
}

/// The same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % end
    }
}

/// What a story is like.
#[derive(Clone, Copy, Debug)]
struct Story {
    len_min: usize,
    len_max: usize,
    /// The owner frees one of so many himself; 0: none.
    own: usize,
    is_shuffled: bool,
}

impl Story {
    fn allocate(self, numbers: &mut Numbers) -> Vec<Block> {
        let total = if in_memory().is_some() { TOTAL } else { UNSEEN_TOTAL };
        let (mut blocks, mut left) = (Vec::new(), total);
        while left > 0 {
            let len = self.len_min + numbers.below(self.len_max - self.len_min + 1);
            blocks.push(Block::new(len));
            left = left.saturating_sub(len);
        }
        blocks
    }

    /// The owner: allocates, frees his part, sends the rest, and sleeps until he is woken.
    fn produce(self, blocks: &Sender<Vec<Block>>, wake: &Receiver<()>) {
        let mut numbers = Numbers(1);
        for _ in 0..2 {
            let (mut mine, mut theirs) = (Vec::new(), Vec::new());
            for (number, block) in self.allocate(&mut numbers).into_iter().enumerate() {
                let is_mine = self.own != 0 && number % self.own == 0;
                if is_mine { &mut mine } else { &mut theirs }.push(block);
            }
            mine.into_iter().for_each(Block::free);
            blocks.send(theirs).expect("somebody waits for it");
            wake.recv().expect("a word");
        }
    }

    /// Frees all that comes, and says so.
    fn consume(self, blocks: &Receiver<Vec<Block>>, done: &Sender<()>) {
        let mut numbers = Numbers(2);
        for mut all in blocks {
            if self.is_shuffled {
                (1..all.len()).for_each(|last| all.swap(last, numbers.below(last + 1)));
            }
            all.into_iter().for_each(Block::free);
            done.send(()).expect("somebody waits for it");
        }
    }

    fn play(self) {
        let before = in_memory();
        let ((send, blocks), (wake, woken), (done, is_done)) = (channel(), channel(), channel());
        let producer = thread::spawn(move || self.produce(&send, &woken));
        let consumer = thread::spawn(move || self.consume(&blocks, &done));
        is_done.recv().expect("all is freed");
        // Both sleep.
        if let (Some(before), Some(now)) = (before, in_memory()) {
            let left = now.saturating_sub(before);
            println!("{self:?}: {} MiB stay", left >> 20);
            assert!(left <= LEFT_MAX, "{left} bytes stay");
        }
        wake.send(()).expect("it sleeps");
        is_done.recv().expect("all is freed once more");
        wake.send(()).expect("it sleeps");
        producer.join().expect("no panic");
        consumer.join().expect("no panic");
        assert_eq!(Granule.stats().blocks, 0);
        Granule.trim();
    }
}

/// Bytes of this process that are its own and in memory, where the system tells.
fn in_memory() -> Option<usize> {
    if std::env::var_os(start::RUNNER).is_some() {
        return None; // what runs this program has memory, too
    }
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<usize>().expect("a number") << 10)
}

/// Which story a process plays.
const STORY: &str = "GRANULE_TEST_STORY";

const SMALL: Story = Story { len_min: 64, len_max: 512, own: 0, is_shuffled: false };
const STORIES: [Story; 7] = [
    SMALL,
    Story { is_shuffled: true, ..SMALL },
    Story { own: 5, ..SMALL },
    Story { own: 5, is_shuffled: true, ..SMALL },
    Story { own: 2, is_shuffled: true, ..SMALL },
    Story { len_min: 9000, len_max: 30_000, own: 3, is_shuffled: true },
    Story { len_min: 1 << 20, len_max: 1 << 20, own: 0, is_shuffled: true },
];

#[test]
fn memory_goes_back_although_its_owner_sleeps() {
    if let Ok(number) = std::env::var(STORY) {
        return STORIES[number.parse::<usize>().expect("a number")].play();
    }
    for (number, story) in STORIES.iter().enumerate() {
        let mut again = start::again();
        again.arg("--nocapture").env(STORY, number.to_string());
        let output = start::output(&mut again);
        print!("{}", String::from_utf8_lossy(&output.stdout));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{story:?}: {told}");
    }
}
