//! Which part of a folder or an archive is trained on, and which is held out.

mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::listing::{Item, Listing};
use super::{DataError, Split};
use names::{BY_PARTNER, Part, part, parts, rest};

/// What is read, and what is to be said about it.
pub(super) struct Chosen {
    pub(super) listing: Listing,
    /// The folder that is read, from the root.
    pub(super) place: PathBuf,
    pub(super) notes: Vec<String>,
    /// Whether there are no parts, so that either split is everything.
    pub(super) unsplit: bool,
}

/// Takes the wanted part of what was found at `root`.
///
/// Folders called `train`, `test`, `val` and the like are parts, at the top or (`cat/train/1.png`) below the classes; a folder
/// that wraps everything is looked through. Without such folders everything is one part. Names such as `trainA` and `testA` are
/// parts where both are there; of several such pairs the folders of a part are classes, called by the rest of their names.
pub(super) fn choose(mut listing: Listing, root: &Path, split: Split) -> Result<Chosen, DataError> {
    let mut place = unwrap(&mut listing);
    let shown = |place: &Path| if place.as_os_str().is_empty() { root.to_owned() } else { root.join(place) };
    if let Some(chosen) = below_classes(&listing, split) {
        let (items, note) = chosen?;
        listing.items = items;
        return Ok(Chosen { listing, place, notes: vec![note], unsplit: false });
    }
    let folders = Folders::of(&listing);
    let decision = folders.decide(split, &shown(&place))?;
    if let Some(names) = &decision.read {
        listing.items.retain(|item| first(&item.path).is_some_and(|name| names.contains(&name)));
        if let [name] = &names[..] {
            // One folder is a part by itself; several are classes still.
            strip(&mut listing, name);
            place.push(name);
            place.push(unwrap(&mut listing));
        } else {
            rename(&mut listing, names);
        }
    } else if !decision.without.is_empty() {
        listing.items.retain(|item| first(&item.path).is_none_or(|name| !decision.without.contains(&name)));
        listing.empty.retain(|folder| first_of(folder).is_none_or(|name| !decision.without.contains(&name)));
    }
    if listing.items.is_empty() {
        let instead = listing.instead();
        return Err(DataError::EmptyFolder { path: shown(&place), ignored: instead });
    }
    Ok(Chosen { listing, place, notes: decision.notes, unsplit: decision.unsplit })
}

/// The folders at the top, also those without a picture.
fn top(listing: &Listing) -> BTreeSet<String> {
    let filled = listing.items.iter().filter_map(|item| first(&item.path));
    filled.chain(listing.empty.iter().filter_map(|folder| first_of(folder))).collect()
}

/// The first folder of a picture's path; none for a picture that lies loose.
fn first(path: &Path) -> Option<String> {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).and_then(first_of)
}

fn first_of(path: &Path) -> Option<String> {
    path.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned())
}

/// Takes the folder `name` off every path.
fn strip(listing: &mut Listing, name: &str) {
    let below = |path: &Path| path.components().skip(1).collect::<PathBuf>();
    listing.items.iter_mut().for_each(|item| item.path = below(&item.path));
    let inside = listing.empty.iter().filter(|folder| first_of(folder).is_some_and(|first| first == name));
    listing.empty = inside.map(|folder| below(folder)).filter(|folder| !folder.as_os_str().is_empty()).collect();
}

/// Calls the folders `names`, each a part, by the rest of their names, so that classes have one name in all parts.
fn rename(listing: &mut Listing, names: &[String]) {
    let renamed = |path: &Path| {
        let name = first_of(path).filter(|name| names.contains(name)).and_then(|name| rest(&name))?;
        Some(Path::new(&name).join(path.components().skip(1).collect::<PathBuf>()))
    };
    for item in &mut listing.items {
        item.path = renamed(&item.path).unwrap_or_else(|| item.path.clone());
    }
    listing.items.sort_by(|a, b| a.path.components().cmp(b.path.components()));
    listing.empty = listing.empty.iter().filter_map(|folder| renamed(folder)).collect();
}

/// Takes off folders that hold everything, unless they are parts; they are returned.
fn unwrap(listing: &mut Listing) -> PathBuf {
    let mut taken = PathBuf::new();
    loop {
        let Some(name) = listing.items.first().and_then(|item| first(&item.path)) else { return taken };
        let alone = listing.items.iter().all(|item| first(&item.path).as_ref() == Some(&name))
            && listing.empty.iter().all(|folder| first_of(folder).as_ref() == Some(&name));
        if !alone || part(&name).is_some() {
            return taken;
        }
        strip(listing, &name);
        taken.push(name);
    }
}

/// The folders at the top.
struct Folders {
    /// Of each part the names, the preferred first.
    parts: BTreeMap<Part, Vec<String>>,
    /// The places of those names in the order of preference.
    ranks: BTreeMap<String, usize>,
    /// Of those that are no part, with pictures below them.
    others: Vec<String>,
    /// Number of loose pictures.
    loose: usize,
    /// Folders whose pictures lie in folders again.
    deep: Vec<String>,
}

/// Which folders are read.
#[derive(Default)]
struct Decision {
    /// Only these; none for all.
    read: Option<Vec<String>>,
    /// All but these.
    without: Vec<String>,
    notes: Vec<String>,
    /// See [`Chosen`].
    unsplit: bool,
}

impl Folders {
    fn of(listing: &Listing) -> Folders {
        let filled: BTreeSet<String> = listing.items.iter().filter_map(|item| first(&item.path)).collect();
        let known = parts(&top(listing));
        let others = filled.into_iter().filter(|name| !known.contains_key(name)).collect();
        let mut found: BTreeMap<Part, Vec<(usize, String)>> = BTreeMap::new();
        for (name, (rank, part)) in &known {
            found.entry(*part).or_default().push((*rank, name.clone()));
        }
        let ranks = known.into_iter().map(|(name, (rank, _))| (name, rank)).collect();
        let preferred = |mut names: Vec<(usize, String)>| {
            names.sort();
            names.into_iter().map(|(_, name)| name).collect()
        };
        let parts = found.into_iter().map(|(part, names)| (part, preferred(names))).collect();
        let loose = listing.items.iter().filter(|item| first(&item.path).is_none()).count();
        let deep = listing.items.iter().filter(|item| item.path.components().count() > 2);
        let mut deep: Vec<String> = deep.filter_map(|item| first(&item.path)).collect();
        deep.dedup();
        Folders { parts, ranks, others, loose, deep }
    }

    fn names(&self, part: Part) -> &[String] {
        self.parts.get(&part).map_or(&[], Vec::as_slice)
    }

    fn decide(&self, split: Split, shown: &Path) -> Result<Decision, DataError> {
        let (train, held) = (self.names(Part::Train), self.held_out());
        let place = shown.display();
        if train.is_empty() && held.is_empty() {
            let note = format!("{place} has no sub-folders train and test: its pictures are used as the test split");
            return Ok(Decision {
                notes: (split == Split::Test).then_some(note).into_iter().collect(),
                unsplit: true,
                ..Decision::default()
            });
        }
        // Folders of classes, of which one happens to be called like a part: `car`, `plane`, `train`.
        let alone = train.len() + held.len() == 1;
        if let (true, [name], 2.., 0) = (alone && held.is_empty(), train, self.others.len(), self.loose)
            && !self.deep.contains(name)
        {
            let note = format!(
                "{place}: the folder {name} is read as a class beside {}, since no folder is called test or val; if it is \
                 the training split, give {place}/{name}",
                self.others.join(", ")
            );
            return Ok(Decision { notes: vec![note], unsplit: true, ..Decision::default() });
        }
        match split {
            Split::Train => self.decide_train(train, &held, shown),
            Split::Test => self.decide_test(train, shown),
        }
    }

    /// Folders that are not trained on.
    fn held_out(&self) -> Vec<String> {
        [Part::Test, Part::Validation].into_iter().flat_map(|part| self.names(part)).cloned().collect()
    }

    fn decide_train(&self, train: &[String], held: &[String], shown: &Path) -> Result<Decision, DataError> {
        let place = shown.display();
        let held_note = (!held.is_empty()).then(|| format!("held out, not trained on: {}", held.join(", ")));
        let read = self.meant(train, shown)?;
        if read.is_empty() {
            if self.others.is_empty() && self.loose == 0 {
                return Err(DataError::NoTrainSplit { path: shown.to_owned(), held: held.join(", ") });
            }
            return Ok(Decision {
                without: held.to_vec(),
                notes: held_note.into_iter().collect(),
                ..Decision::default()
            });
        }
        let mut notes = vec![format!("the training split is {place}/{}", read.join(&format!(" and {place}/")))];
        notes.extend(held_note);
        let loose = (self.loose > 0).then(|| format!("{} pictures beside them", self.loose));
        let unused: Vec<String> = train[read.len()..].iter().chain(&self.others).cloned().chain(loose).collect();
        if !unused.is_empty() {
            notes.push(format!("not used, neither for training nor for testing: {}", unused.join(", ")));
        }
        Ok(Decision { read: Some(read.to_vec()), notes, ..Decision::default() })
    }

    fn decide_test(&self, train: &[String], shown: &Path) -> Result<Decision, DataError> {
        let place = shown.display();
        let (test, validation) = (self.meant(self.names(Part::Test), shown)?, self.names(Part::Validation));
        // Of several validation folders either will do.
        let validation = self.meant(validation, shown).unwrap_or_else(|_| &validation[..1]);
        let all = |names: &[String]| format!("{place}/{}", names.join(&format!(" and {place}/")));
        let (read, note) = match (test, validation) {
            ([], []) => {
                return Err(DataError::NoTestSplit { path: shown.to_owned(), train: train.join(", ") });
            }
            ([], names) => {
                let folder = all(names);
                (names, format!("{place} has no folder test: the validation folder {folder} is the test split"))
            }
            (names, _) => (names, format!("the test split is {}", all(names))),
        };
        Ok(Decision { read: Some(read.to_vec()), notes: vec![note], ..Decision::default() })
    }

    /// Those of a part's folders that are meant: the preferred one, or all that are parts by their partners, if what is left of
    /// their names tells them apart, as in `trainA` and `trainB`.
    fn meant<'a>(&self, names: &'a [String], shown: &Path) -> Result<&'a [String], DataError> {
        let Some(best) = names.first().and_then(|name| self.ranks.get(name)) else { return Ok(&[]) };
        let same = names.iter().take_while(|name| self.ranks.get(*name) == Some(best)).count();
        let apart: BTreeSet<Option<String>> = names[..same].iter().map(|name| rest(name)).collect();
        // `train` and `Train`, or `train2014` and `train2017`: nobody can tell which.
        if same > 1 && (*best != BY_PARTNER || apart.len() < same) {
            return Err(DataError::SeveralSplits { path: shown.to_owned(), names: names.join(", ") });
        }
        Ok(&names[..same])
    }
}

/// Parts below the classes: the second folder of every picture is one, as in `cat/train/1.png`.
fn below_classes(listing: &Listing, split: Split) -> Option<Result<(Vec<Item>, String), DataError>> {
    let second = |item: &Item| {
        let parts: Vec<_> = item.path.components().collect();
        (parts.len() > 2).then(|| part(&parts[1].as_os_str().to_string_lossy())).flatten()
    };
    let found: Vec<Part> =
        listing.items.iter().map(|item| second(item).map(|(_, part)| part)).collect::<Option<_>>()?;
    let filled = listing.items.iter().filter_map(|item| first(&item.path)).collect();
    if !parts(&filled).is_empty() || found.is_empty() {
        return None;
    }
    let wanted = match split {
        Split::Train => Part::Train,
        Split::Test if found.contains(&Part::Test) => Part::Test,
        Split::Test => Part::Validation,
    };
    let word = match wanted {
        Part::Train => "train",
        Part::Test => "test",
        Part::Validation => "validation",
    };
    let without = |item: &Item| {
        let mut parts: Vec<_> = item.path.components().collect();
        parts.remove(1);
        Item { path: parts.into_iter().collect(), ..item.clone() }
    };
    let kept = listing.items.iter().zip(&found).filter(|(_, part)| **part == wanted).map(|(item, _)| without(item));
    let items: Vec<Item> = kept.collect();
    let path = PathBuf::new();
    Some(match (items.is_empty(), split) {
        (true, Split::Train) => {
            Err(DataError::NoTrainSplit { path, held: "test or val in the classes' folders".into() })
        }
        (true, Split::Test) => Err(DataError::NoTestSplit { path, train: "train in the classes' folders".into() }),
        (false, _) => Ok((items, format!("the {split} split is the folders {word} within the classes"))),
    })
}
