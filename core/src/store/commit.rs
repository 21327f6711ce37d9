//! The one write path.

use std::sync::atomic::Ordering;

use super::Store;
use super::operations::Operations;
use crate::compression::pack;
use crate::error::{Error, Result};
use crate::keys::{Change, Old};
use crate::location::Location;
use crate::log::NewFrame;
use crate::options::{Compression, Durability, KeyspaceOptions};
use crate::record::{INLINE_VALUE_BYTES_MAX, Kind, LargePointer, NewRecord, Record, content_crc};
use crate::sabotage::{Sabotage, is_planted};
use crate::settings::encode_settings;

/// What is to be committed.
pub(crate) enum Commit<'a> {
    /// One record, the hash of its key, and how its value is to be stored.
    One(NewRecord<'a>, u64, Compression),
    /// Many, as one frame.
    Many(Operations),
}

impl Commit<'_> {
    /// Whether it has values in segments of large values.
    fn has_large(&self) -> bool {
        match self {
            Commit::One(record, ..) => {
                record.kind == Kind::LargePut || record.value.len() > INLINE_VALUE_BYTES_MAX
            }
            Commit::Many(operations) => operations.has_large(),
        }
    }
}

/// Whether a commit may go ahead, asked under the commit lock.
pub(crate) type Verdict<'a> = &'a mut dyn FnMut(&Store) -> Result<()>;

/// What is known of a record's key under the commit lock, before anything is published.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    pub(super) old: Option<Old>,
    /// Sequence and segment of the old record, where a snapshot or the cache needs to know.
    old_sequence: u64,
    old_serial: u64,
    /// A later record of the same commit has the same key.
    pub(super) overtaken: bool,
}

impl Store {
    /// Commits. When this returns, readers see the commit and it survives the death of the process; with
    /// [`Durability::Sync`] it is on the device.
    pub(crate) fn commit(
        &self,
        commit: Commit<'_>,
        durability: Durability,
        verdict: Verdict<'_>,
    ) -> Result<()> {
        let bytes = match &commit {
            Commit::One(record, ..) => record.standalone_bytes(0),
            Commit::Many(operations) => operations.bytes(),
        };
        // Until a large value is published nothing tells that its segment is still of use; this does.
        let large_value_under_way = commit.has_large().then(|| self.log.pin());
        let committed = match commit {
            Commit::One(record, hash, compression) => {
                self.commit_one(&record, hash, compression, durability, verdict)
            }
            Commit::Many(operations) => self.commit_many(operations, durability, verdict),
        };
        let sequence = match committed {
            Err(Error::NoSpace(_)) if is_planted(Sabotage::AcknowledgeWithoutRoom) => self.visible(),
            other => other?,
        };
        drop(large_value_under_way);
        self.tell_wishes();
        self.pace.keep(bytes);
        self.wait_until_visible(sequence, durability)
    }

    fn commit_one(
        &self,
        record: &NewRecord<'_>,
        hash: u64,
        compression: Compression,
        durability: Durability,
        verdict: Verdict<'_>,
    ) -> Result<u64> {
        // 1. What can be done before it is our turn: the copy of a large value, compression, and the checksum.
        self.keys.index.prefetch(hash);
        let stored = self.store_otherwise(record, hash, compression)?;
        let written = match &stored {
            Some((kind, value)) => NewRecord { kind: *kind, value, ..*record },
            None => *record,
        };
        let content = content_crc(written.key, written.value);

        // 2. Our turn: nobody else commits from here on.
        let mut committer = self.committer.lock();
        let committer = &mut *committer;
        verdict(self)?;

        // 3. Into the log: written before the key is looked up, since what was asked for above of the index comes meanwhile. Where another
        // process would see it at once, it is looked up first.
        let sequence = self.log.appended() + 1;
        let appender = &mut committer.appender;
        let look_up = || self.look_up(hash, written.keyspace, written.key, durability);
        let looked_up = if self.log.stages_unseen(appender) { None } else { Some(look_up()?) };
        let staged = self.log.stage(appender, &mut NewFrame::Record(written, content), sequence)?;
        // For all that follows: what is pinned already is pinned once more for next to nothing.
        let guard = self.log.pin();
        let before = match looked_up.map_or_else(look_up, Ok) {
            Ok(before) => before,
            Err(error) => {
                drop(guard);
                self.log.give_up(appender, &staged)?;
                return Err(error);
            }
        };
        let appended = self.log.publish(appender, &staged);
        let location = appended.location(0)?;

        // 4. Known to readers.
        self.hide_if_it_waits(durability);
        let stored_bytes = written.standalone_bytes(sequence) as u64;
        let (kind, keyspace, key) = (written.kind, written.keyspace, written.key);
        let large = if kind == Kind::LargePut { LargePointer::parse(written.value) } else { None };
        let change = Change { kind, keyspace, key, hash, location, stored_bytes, large, old: before.old };
        let value = matches!(kind, Kind::Put | Kind::CompressedPut).then_some(record.value);
        self.publish(&change, &before, appended.serial, value, sequence, &mut committer.ordered_key);
        self.show_unless_hiding(sequence);
        Ok(sequence)
    }

    /// What stands in the record of a put instead of its value, where anything does.
    fn store_otherwise(
        &self,
        record: &NewRecord<'_>,
        hash: u64,
        compression: Compression,
    ) -> Result<Option<(Kind, Vec<u8>)>> {
        if record.kind != Kind::Put {
            return Ok(None);
        }
        if record.value.len() > INLINE_VALUE_BYTES_MAX {
            let pointer = self.log.append_large(record.value, hash)?;
            return Ok(Some((Kind::LargePut, pointer.encode().to_vec())));
        }
        Ok(pack(record.value, compression).map(|packed| (Kind::CompressedPut, packed)))
    }

    fn commit_many(
        &self,
        mut operations: Operations,
        durability: Durability,
        verdict: Verdict<'_>,
    ) -> Result<u64> {
        // 1. What can be done before it is our turn: large values, and which records are overtaken by later ones.
        for (number, value) in std::mem::take(&mut operations.large) {
            let hash = operations.hashes.get(number).copied().unwrap_or_default();
            operations.builder.point(number, &self.log.append_large(&value, hash)?);
        }
        let overtaken = operations.overtaken();
        operations.hashes.iter().for_each(|hash| self.keys.index.prefetch(*hash));
        let Operations { mut builder, hashes, mut aside, .. } = operations;
        aside.as_mut().map_or(Ok(()), |aside| aside.complete(self))?;

        // 2. Our turn: nobody else commits from here on.
        let mut committer = self.committer.lock();
        let committer = &mut *committer;
        verdict(self)?;
        if hashes.is_empty() {
            return Ok(self.visible());
        }
        let mut befores = Vec::with_capacity(hashes.len());
        for ((number, hash), (_, record)) in hashes.iter().enumerate().zip(builder.records()) {
            let overtaken = overtaken.get(number).copied().unwrap_or(false);
            // Hidden while it is published, by way of the version table.
            let before = self.look_up(*hash, record.shape.keyspace, record.key, Durability::Sync)?;
            befores.push(Before { overtaken, ..before });
        }

        // 3. Into the log. A sync that takes the frame along takes along what it names.
        aside.into_iter().for_each(|aside| aside.publish(self));
        let sequence = self.log.appended() + 1;
        let mut frame = NewFrame::Batch(&mut builder);
        let appended = self.log.append(&mut committer.appender, &mut frame, sequence)?;
        let places: Vec<Location> =
            builder.records().map(|(at, _)| appended.location(at)).collect::<Result<_>>()?;

        // 4. Known to readers, all of it or nothing.
        self.hide_if_it_waits(durability);
        self.publish_as_one(sequence, || {
            for (((before, hash), location), (_, record)) in
                befores.iter().zip(&hashes).zip(places).zip(builder.records())
            {
                if before.overtaken {
                    self.log.note_dead(location, &self.log.pin());
                } else {
                    let change = change_of(&record, *hash, location, before.old);
                    let ordered_key = &mut committer.ordered_key;
                    let value = (change.kind == Kind::Put).then_some(record.value);
                    self.publish(&change, before, appended.serial, value, sequence, ordered_key);
                }
            }
        });
        self.show_unless_hiding(sequence);
        Ok(sequence)
    }

    /// What the key's newest record is now, with all that publishing will need, so that publishing cannot fail.
    pub(super) fn look_up(
        &self,
        hash: u64,
        keyspace: u16,
        key: &[u8],
        durability: Durability,
    ) -> Result<Before> {
        let mut before = Before { old: None, old_sequence: 0, old_serial: 0, overtaken: false };
        let guard = self.log.pin();
        if let Some(mut record) = self.keys.find(&self.log, hash, keyspace, key, &guard)? {
            before.old = Some(Old::of(&mut record)?);
            before.old_serial = record.serial();
            // A commit that waits for the device is hidden by way of the version table, like one under a snapshot.
            if durability == Durability::Sync || self.versions.is_any_live() {
                before.old_sequence = record.sequence(&self.log)?;
            }
        }
        Ok(before)
    }

    /// Keeps the old version for those who need it, moves the index, and follows in the cache, if the value, as readers
    /// get it, is at hand.
    pub(super) fn publish(
        &self,
        change: &Change<'_>,
        before: &Before,
        serial: u64,
        value: Option<&[u8]>,
        sequence: u64,
        ordered_key: &mut Vec<u8>,
    ) {
        if let Some(old) = before.old
            && self.versions.is_any_live()
        {
            let large = old.large.map(|pointer| pointer.serial);
            self.versions.supersede(change.hash, (old.location, large), before.old_sequence, sequence);
        }
        if change.kind != Kind::Tombstone || before.old.is_some() {
            self.recent.note(sequence, change.keyspace, change.key);
        }
        self.keys.publish(&self.log, change, ordered_key);
        if let Some(old) = before.old
            && self.cache.is_occupied()
        {
            let old_place = (before.old_serial, old.location.offset());
            match value {
                Some(value) => {
                    let place = (serial, change.location.offset());
                    let record = (change.keyspace, change.key, value, sequence);
                    self.cache.overwrite(old_place, place, record);
                }
                None => {
                    self.cache.remove(old_place);
                }
            }
        }
    }

    /// Lets readers see a commit at once, unless it or one before it waits for the device.
    pub(super) fn show_unless_hiding(&self, sequence: u64) {
        if !self.is_hiding.load(Ordering::Relaxed) {
            self.visible.store(sequence, Ordering::Release);
        }
    }

    /// Creates a keyspace, unless it is there, and sees to it that it has these settings, where any are given.
    pub(crate) fn ensure_keyspace(
        &self,
        name: &str,
        settings: Option<KeyspaceOptions>,
        durability: Durability,
    ) -> Result<()> {
        if self.keyspace_is(name, settings) {
            return Ok(());
        }
        let mut committer = self.committer.lock();
        if self.keyspace_is(name, settings) {
            return Ok(());
        }
        let settings = settings.unwrap_or_default();
        let number = match self.keys.keyspaces.number(name) {
            Ok(number) => number,
            Err(_) => self.keys.keyspaces.next_number()?,
        };
        let value = &encode_settings(settings);
        let record = NewRecord { kind: Kind::Keyspace, keyspace: number, key: name.as_bytes(), value };
        let content = content_crc(record.key, record.value);
        let sequence = self.log.appended() + 1;
        self.log.append(&mut committer.appender, &mut NewFrame::Record(record, content), sequence)?;
        self.hide_if_it_waits(durability);
        self.keys.keyspaces.add(number, name);
        self.keys.keyspaces.with(number, |entry| entry.set(settings));
        self.show_unless_hiding(sequence);
        drop(committer);
        self.wait_until_visible(sequence, durability)
    }

    /// Whether a keyspace is there and has these settings, where any are given.
    fn keyspace_is(&self, name: &str, settings: Option<KeyspaceOptions>) -> bool {
        let entry = self.keys.keyspaces.by_name(name);
        entry.is_ok_and(|entry| settings.is_none_or(|settings| entry.settings() == settings))
    }
}

pub(super) fn change_of<'a>(
    record: &Record<'a>,
    hash: u64,
    location: Location,
    old: Option<Old>,
) -> Change<'a> {
    let is_large = record.shape.kind == Kind::LargePut;
    Change {
        kind: record.shape.kind,
        keyspace: record.shape.keyspace,
        key: record.key,
        hash,
        location,
        stored_bytes: record.stored_bytes() as u64,
        large: if is_large { LargePointer::parse(record.value) } else { None },
        old,
    }
}
