//! Every public kernel is given slices of wrong lengths and sizes that do not fit, between pages that may not be touched: it says what is
//! wrong, in words of its own, before it reads or writes anything.
//!
//! For some sizes of every kind, zeros among them, each slice of the calls in turn is too short, too long or empty, and then each of the sizes
//! something else. A kernel that looks at a slice of a wrong length has to refuse it. `PROPTEST_CASES=N` tries more sizes, and
//! `PROPTEST_RNG_SEED=N` others. All this runs in a process of its own, which names every call before it makes it.
#![cfg(target_os = "linux")]

mod calls;
mod common;
#[path = "common/fence.rs"]
mod fence;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use calls::{Kind, Memory, Results, first_word, public_functions};
use common::random;
use fence::{Edge, Fenced};

/// In the kernels' process.
const CHILD: &str = "SFUMATO_TEST_HOSTILE";
/// Sizes that are tried of every kind, unless `PROPTEST_CASES` says how many.
const CASES: usize = 4;

#[test]
fn wrong_lengths_and_sizes_are_refused() {
    if std::env::var_os(CHILD).is_some() {
        // One thread, in its pool: most calls do nothing, and to wake others would take longer.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread can be had");
        return pool.install(try_everything);
    }
    let mut child = std::process::Command::new(std::env::current_exe().expect("the program knows its path"));
    child.args(["--exact", "wrong_lengths_and_sizes_are_refused", "--nocapture"]).env(CHILD, "1");
    let output = child.output().expect("the program runs again");
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
    assert!(output.status.success(), "{}, in\n{last}", output.status);
    assert!(said.lines().count() > 10_000, "few calls were made:\n{last}");
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn try_everything() {
    // The panics that are wanted say nothing; those of this test do.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.location().is_some_and(|location| location.file().ends_with("hostile.rs")) {
            hook(info);
        }
    }));
    let mut dice = Dice(number("PROPTEST_RNG_SEED", 1) as u64);
    let mut names = BTreeSet::new();
    for kind in Kind::ALL {
        for _ in 0..number("PROPTEST_CASES", CASES) {
            let sizes = dice.sizes(kind);
            let edge = Edge::ALL[dice.up_to(2)];
            let clean = Hostile::new(kind, edge, None);
            kind.call(&clean, &sizes, &sizes);
            names.append(&mut clean.names.borrow_mut());
            for slice in 0..clean.slices.get() {
                for change in Change::ALL {
                    kind.call(&Hostile::new(kind, edge, Some((slice, change))), &sizes, &sizes);
                }
            }
            for (i, said) in wrong_sizes(&sizes) {
                let hostile = Hostile::new(kind, edge, None);
                eprintln!("{kind:?}, size {i} of {sizes:?} is said to be another: {said:?}");
                kind.call(&hostile, &sizes, &said);
            }
        }
    }
    let public: BTreeSet<String> = public_functions().into_iter().collect();
    assert_eq!(names, public, "the public functions and those that were called");
}

/// `sizes` with one of them changed, up to products that wrap around.
fn wrong_sizes(sizes: &[usize]) -> Vec<(usize, Vec<usize>)> {
    let mut all = Vec::new();
    for (i, &size) in sizes.iter().enumerate() {
        let near = [0, 1, size + 1, size.saturating_sub(1), 2 * size];
        // Not a size that a result could really have: some kernels would have to write it.
        let far = [1 << (usize::BITS - 24), 1 << (usize::BITS - 2), usize::MAX / 2, usize::MAX];
        for other in near.into_iter().chain(far).filter(|other| *other != size) {
            let mut said = sizes.to_vec();
            said[i] = other;
            all.push((i, said));
        }
    }
    all
}

/// What is done to the length of a slice.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    None,
    OneLess,
    OneMore,
    Half,
    Double,
    Vector,
}

impl Change {
    const ALL: [Self; 6] = [Self::None, Self::OneLess, Self::OneMore, Self::Half, Self::Double, Self::Vector];

    fn of(self, len: usize) -> usize {
        match self {
            Self::None => 0,
            Self::OneLess => len.saturating_sub(1),
            Self::OneMore => len + 1,
            Self::Half => len / 2,
            Self::Double => 2 * len,
            Self::Vector => len + 16,
        }
    }
}

/// Fenced slices, one of which has another length.
struct Hostile {
    kind: Kind,
    edge: Edge,
    /// The number of that slice, and what is done to it.
    wrong: Option<(usize, Change)>,
    /// Slices so far.
    slices: Cell<usize>,
    /// Whether it has been looked at since the last call.
    seen: Rc<Cell<bool>>,
    names: RefCell<BTreeSet<String>>,
}

struct Slice {
    values: Fenced,
    /// Of the slice with another length.
    seen: Option<Rc<Cell<bool>>>,
}

impl Deref for Slice {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.seen.iter().for_each(|seen| seen.set(true));
        &self.values
    }
}

impl DerefMut for Slice {
    fn deref_mut(&mut self) -> &mut [f32] {
        self.seen.iter().for_each(|seen| seen.set(true));
        &mut self.values
    }
}

/// Kernels that take more than one length, or count what they are given: a wrong one need not be seen, but nothing outside may be touched.
const ANY_LENGTH: [&str; 14] = [
    "sum_of_squares",
    "fresh::silu",
    "fresh::upsample_nearest_2x",
    "fresh::upsample_nearest_2x_backward",
    "add_channel_bias",
    "fresh::add_channel_bias",
    "sum_pixels",
    "fresh::sum_pixels",
    "sum_rows",
    "fresh::sum_rows",
    "sum_images",
    "fresh::concat",
    "part",
    "fresh::part",
];

impl Hostile {
    fn new(kind: Kind, edge: Edge, wrong: Option<(usize, Change)>) -> Self {
        let (slices, seen, names) = Default::default();
        Self { kind, edge, wrong, slices, seen, names }
    }

    fn slice(&self, len: usize) -> Slice {
        let i = self.slices.replace(self.slices.get() + 1);
        match self.wrong {
            Some((wrong, change)) if wrong == i && change.of(len) != len => {
                Slice { values: Fenced::new(self.edge, change.of(len)), seen: Some(self.seen.clone()) }
            }
            _ => Slice { values: Fenced::new(self.edge, len), seen: None },
        }
    }

    /// Whether a kernel may take the slice as it is.
    fn may_be_taken(&self, name: &str) -> bool {
        let Some((_, change)) = self.wrong else { return true };
        let empty_is_none = matches!(self.kind, Kind::Norm | Kind::NormConv);
        ANY_LENGTH.contains(&name)
            // Matrices may lie in longer slices.
            || (name == "gemm" && matches!(change, Change::OneMore | Change::Double | Change::Vector))
            // What need not be there may be empty, also where it was of one value.
            || (empty_is_none && matches!(change, Change::None | Change::OneLess | Change::Half))
            // One value for all images, or one for each.
            || (empty_is_none && change == Change::Double)
    }
}

/// Whether a message is one of those that kernels refuse something with.
fn is_refusal(error: &(dyn Any + Send)) -> Result<(), String> {
    const WORDS: [&str; 9] = [
        ", expected ",
        "more than any memory holds",
        " are no",
        "divide",
        "no kernel of side",
        "are not within",
        "there must be",
        " groups of ",
        "expected one for each",
    ];
    let message = error.downcast_ref::<String>().cloned();
    let message = message.or_else(|| error.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
    if WORDS.iter().any(|word| message.contains(word)) { Ok(()) } else { Err(message) }
}

impl Memory for Hostile {
    type Values = Slice;

    fn input(&self, seed: u64, len: usize) -> Slice {
        let mut slice = self.slice(len);
        let values = random(seed, slice.values.len());
        slice.values.copy_from_slice(&values);
        slice.values.read_only();
        slice
    }

    fn output(&self, len: usize) -> Slice {
        self.slice(len)
    }

    fn call<R: Results>(&self, what: &str, sizes: &dyn Debug, f: impl FnOnce() -> R) {
        let name = first_word(what);
        self.names.borrow_mut().insert(name.to_owned());
        eprintln!("{what} {sizes:?}, slice and change {:?}", self.wrong);
        let result = catch_unwind(AssertUnwindSafe(f));
        let seen = self.seen.replace(false);
        match result {
            Ok(_) => assert!(!seen || self.may_be_taken(name), "{what} took a slice of a wrong length"),
            Err(error) => {
                if let Err(message) = is_refusal(&*error) {
                    panic!("{what} did not refuse what does not fit but failed: {message:?}");
                }
            }
        }
    }
}

/// Small sizes, the same in every run.
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as usize % sides
    }

    /// Sizes of a kind; one in a few is zero.
    fn sizes(&mut self, kind: Kind) -> Vec<usize> {
        let most: &[usize] = match kind {
            Kind::Conv => return self.convolution(),
            Kind::Norm | Kind::NormConv | Kind::Block => return self.with_groups(kind),
            Kind::Joined => &[3, 9, 9, 9, 40],
            Kind::Winograd | Kind::Upsampled => &[3, 20, 20, 7, 9],
            Kind::Attention => &[3, 40, 40, 9, 9],
            Kind::SelfAttention => &[3, 3, 40, 9],
            Kind::Linear | Kind::Product => &[20, 20, 20],
            Kind::Elementwise => &[70],
            Kind::Moves => &[3, 5, 7, 9],
        };
        let zero = self.up_to(3 * most.len());
        most.iter().enumerate().map(|(i, &most)| if i == zero { 0 } else { 1 + self.up_to(most) }).collect()
    }

    fn convolution(&mut self) -> Vec<usize> {
        let zero = self.up_to(9);
        let [n, c, k] = [0, 1, 2].map(|i| if i == zero { 0 } else { 1 + self.up_to(9) });
        let (h, w) = (3 + self.up_to(7), 3 + self.up_to(20));
        let form: [usize; 6] = match self.up_to(4) {
            0 => [3, 1, 1, 1, 1, 1],
            1 => [1, 1, 0, 0, 0, 0],
            2 => [3, 2, 0, 0, 1, 1],
            _ => [2, 1 + self.up_to(3), self.up_to(2), self.up_to(2), self.up_to(2), self.up_to(2)],
        };
        [&[n, c, k, h, w][..], &form].concat()
    }

    fn with_groups(&mut self, kind: Kind) -> Vec<usize> {
        let groups = 1 + self.up_to(3);
        let (n, c) = (self.up_to(4), groups * (1 + self.up_to(4)));
        match kind {
            Kind::Norm => vec![n, c, 1 + self.up_to(40), groups, self.up_to(c + 1), self.up_to(4)],
            Kind::NormConv => {
                let [k, h, w] = [9, 6, 6].map(|most| 1 + self.up_to(most));
                vec![n, c, groups, k, h, w, self.up_to(c + 1), self.up_to(2)]
            }
            _ => {
                let [pixels, heads, d] = [60, 2, 20].map(|most| 1 + self.up_to(most));
                vec![n, c, pixels, heads, d, groups, self.up_to(2)]
            }
        }
    }
}
