//! What a loss of power leaves of a directory: a model.
//!
//! Names are in order, as in a file system with a journal: there is a point in time; everything made, renamed or removed
//! before it is there, and nothing after it. The point lies behind the last fsync of any directory. The bytes of a file
//! are those of its last fsync; what was written later is lost, cut off, or zeros.
//!
//! Not in the model: file systems that reorder names, disks that lie about a sync, and memory that is mapped and written
//! to.

use std::fs;
use std::path::Path;

use super::disk::{Disk, Node};
use super::random::Random;
use super::trace::Event;

/// A state that a loss of power may leave.
#[derive(Debug)]
pub(super) struct Crash {
    /// Events whose names are there.
    pub(super) names: usize,
    disk: Disk,
}

impl Disk {
    /// A state in which the power may leave this disk during `events`, after the first `cut` of them.
    pub(super) fn crash(&self, events: &[Event], cut: usize, random: &mut Random) -> anyhow::Result<Crash> {
        let mut written = self.clone();
        let mut synced = 0;
        for (number, event) in events[..cut].iter().enumerate() {
            if written.is_barrier(event) {
                synced = number;
            }
            written.apply(event)?;
        }
        let names = match random.between(0, 2) {
            0 => synced,
            1 => cut,
            _ => random.between(synced as u64, cut as u64) as usize,
        };
        let mut disk = self.clone();
        for event in &events[..names] {
            disk.apply(event)?;
        }
        for (node, later) in disk.nodes.iter_mut().zip(&written.nodes) {
            if let (Node::File { bytes, .. }, Node::File { bytes: new, synced }) = (node, later) {
                *bytes = torn(synced, new, random);
            }
        }
        Ok(Crash { names, disk })
    }

    /// Whether all names before the event are safe after it.
    fn is_barrier(&self, event: &Event) -> bool {
        match event {
            Event::Sync(file) => self.open.get(file).is_some_and(|open| matches!(self.nodes[open.node], Node::Dir(_))),
            Event::SyncAll => true,
            _ => false,
        }
    }
}

/// What may be left of a file that is `new` and was `synced` before.
fn torn(synced: &[u8], new: &[u8], random: &mut Random) -> Vec<u8> {
    let tail = match new.strip_prefix(synced) {
        Some([]) => return new.to_vec(),
        Some(tail) => tail,
        // It was overwritten: the old bytes, none, or the first of the new ones.
        None => {
            let length = random.between(0, new.len() as u64) as usize;
            return random.pick(&[synced.to_vec(), vec![], new[..length].to_vec()]).clone();
        }
    };
    let length = random.between(0, tail.len() as u64) as usize;
    let rest = random.pick(&[vec![], tail[..length].to_vec(), vec![0; tail.len()], tail.to_vec()]).clone();
    [synced, &rest].concat()
}

impl Crash {
    /// Makes what is left in the place of the disk's directory `name`, which is replaced.
    pub(super) fn write(&self, name: &str) -> anyhow::Result<()> {
        let place = self.disk.root.join(name);
        let _ = fs::remove_dir_all(&place);
        if let Some(node) = self.disk.find(&place) {
            self.write_node(node, &place)?;
        }
        Ok(())
    }

    fn write_node(&self, node: usize, path: &Path) -> anyhow::Result<()> {
        match &self.disk.nodes[node] {
            Node::Dir(entries) => {
                fs::create_dir(path)?;
                for (name, child) in entries {
                    self.write_node(*child, &path.join(name))?;
                }
            }
            Node::File { bytes, .. } => fs::write(path, bytes)?,
            Node::Link(target) => symlink(target, path)?,
        }
        Ok(())
    }
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    fn empty() -> Disk {
        Disk { root: "/t".into(), nodes: vec![Node::Dir(BTreeMap::new())], open: HashMap::new() }
    }

    fn open(file: u64, path: &str) -> Event {
        Event::Open { file, path: path.into(), create: true, truncate: true, append: false }
    }

    fn open_dir(file: u64, path: &str) -> Event {
        Event::Open { file, path: path.into(), create: false, truncate: false, append: false }
    }

    fn write(file: u64, text: &str) -> Event {
        Event::Write { file, bytes: text.as_bytes().to_vec(), at: None }
    }

    /// Every different state that a crash after the events can leave, as `NAME=TEXT` of all files.
    fn states(events: &[Event]) -> Vec<String> {
        let mut states: Vec<String> = (0..300)
            .map(|seed| {
                let crash = empty().crash(events, events.len(), &mut Random::new(seed, 0)).unwrap();
                let mut files = Vec::new();
                list(&crash.disk, 0, "", &mut files);
                files.join(" ")
            })
            .collect();
        states.sort();
        states.dedup();
        states
    }

    fn list(disk: &Disk, node: usize, path: &str, files: &mut Vec<String>) {
        match &disk.nodes[node] {
            Node::Dir(entries) => {
                entries.iter().for_each(|(name, node)| list(disk, *node, &format!("{path}/{name}"), files))
            }
            Node::File { bytes, .. } => files.push(format!("{path}={}", String::from_utf8_lossy(bytes))),
            Node::Link(target) => files.push(format!("{path}->{}", target.display())),
        }
    }

    #[test]
    fn a_file_that_is_synced_and_renamed_is_the_old_or_the_new_one_and_then_the_new_one() {
        let mut events = vec![
            open(3, "/t/a"),
            write(3, "old"),
            Event::Sync(3),
            Event::Close(3),
            open_dir(3, "/t"),
            Event::Sync(3),
            open(4, "/t/.a"),
            write(4, "new"),
            Event::Sync(4),
            Event::Rename { from: "/t/.a".into(), to: "/t/a".into() },
        ];
        assert_eq!(states(&events), ["/.a=new /a=old", "/a=new", "/a=old"]);
        events.push(Event::Sync(3));
        events.push(open(9, "/elsewhere/x"));
        assert_eq!(states(&events), ["/a=new"]);
    }

    #[test]
    fn a_rename_without_a_sync_can_leave_an_empty_file() {
        let events = [
            open(3, "/t/.a"),
            write(3, "xy"),
            Event::Rename { from: "/t/.a".into(), to: "/t/a".into() },
            open_dir(4, "/t"),
            Event::Sync(4),
            open_dir(5, "/t"),
        ];
        assert_eq!(states(&events), ["/a=", "/a=\0\0", "/a=x", "/a=xy"]);
    }

    #[test]
    fn what_is_appended_after_the_sync_may_be_cut() {
        let append = Event::Open { file: 3, path: "/t/a".into(), create: true, truncate: false, append: true };
        let events = [append, write(3, "1\n"), Event::Sync(3), open_dir(4, "/t"), Event::Sync(4), write(3, "2\n")];
        assert_eq!(states(&events), ["/a=1\n", "/a=1\n\0\0", "/a=1\n2", "/a=1\n2\n"]);
    }

    #[test]
    fn names_are_lost_in_the_order_in_which_they_were_made() {
        let events = [
            Event::MakeDir("/t/r".into()),
            Event::MakeDir("/t/r/c".into()),
            Event::Symlink { link: "/t/r/c/l".into(), target: "x".into() },
            Event::Symlink { link: "/t/r/m".into(), target: "c".into() },
            Event::Remove("/t/r/c/l".into()),
        ];
        assert_eq!(states(&events), ["", "/r/c/l->x", "/r/c/l->x /r/m->c", "/r/m->c"]);
        let mut synced = events.to_vec();
        synced.extend([open_dir(3, "/t/r"), Event::Sync(3), open_dir(4, "/t/r")]);
        assert_eq!(states(&synced), ["/r/m->c"]);
    }

    #[test]
    fn positions_copies_and_lengths_are_followed() {
        let events = [
            open(3, "/t/a"),
            write(3, "abcdef"),
            Event::Seek { file: 3, position: 1 },
            write(3, "BC"),
            Event::Write { file: 3, bytes: b"F".to_vec(), at: Some(5) },
            Event::Copy { from: 3, to: 7 },
            Event::Close(3),
            Event::Truncate { file: 7, length: 7 },
            Event::Link { from: "/t/a".into(), to: "/t/b".into() },
            Event::Exchange { a: "/t/b".into(), b: "/t/a".into() },
            Event::SyncAll,
            Event::Close(7),
        ];
        assert_eq!(states(&events), ["/a=aBCdeF\0 /b=aBCdeF\0"]);
    }

    #[test]
    fn a_directory_is_loaded_and_written_again() {
        let root = std::env::temp_dir().join(format!("sfumato-torture-disk-{}", std::process::id()));
        fs::create_dir_all(root.join("r/sub")).unwrap();
        fs::write(root.join("r/sub/x"), "text").unwrap();
        let disk = Disk::load(&root).unwrap();
        let events =
            [Event::Rename { from: root.join("r/sub/x"), to: root.join("r/y") }, Event::SyncAll, Event::Close(0)];
        disk.crash(&events, 3, &mut Random::new(0, 0)).unwrap().write("r").unwrap();
        assert_eq!(fs::read_to_string(root.join("r/y")).unwrap(), "text");
        assert!(root.join("r/sub").is_dir() && !root.join("r/sub/x").exists());
        fs::remove_dir_all(&root).unwrap();
    }
}
