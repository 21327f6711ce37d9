//! What a scan covers, and the packed pages in which its entries cross the border.
//!
//! An entry of a page is the length of its key (4 bytes, little endian), the length of its value (the same; absent
//! where only keys are asked for), the key, the value. The entry that makes a page reach its size is still in it, so a
//! page holds at least one entry.

use std::sync::{Arc, Mutex, PoisonError};

use napi::bindgen_prelude::{AsyncTask, Buffer, BufferSlice, Either, Env, External, Result, Uint8Array};
use napi_derive::napi;
use opendb::{Error, Iter, Keys, Scan};

use crate::{Background, Content, Slot};

/// What a scan covers; all that is given must hold of an entry.
#[napi(object, object_to_js = false)]
pub(crate) struct ScanSettings {
    /// Only keys that start with these bytes.
    pub prefix: Option<Uint8Array>,
    /// The lowest key, itself included.
    pub start: Option<Uint8Array>,
    /// The end, itself not included.
    pub end: Option<Uint8Array>,
    /// Only keys after this one, in the direction of the scan.
    pub start_after: Option<Uint8Array>,
    /// From the highest key to the lowest.
    pub reverse: Option<bool>,
    /// Most entries to give.
    pub limit: Option<i64>,
}

impl From<ScanSettings> for Scan {
    fn from(settings: ScanSettings) -> Scan {
        let mut scan = settings.prefix.map_or_else(Scan::all, |prefix| Scan::prefix(prefix.to_vec()));
        if let Some(key) = settings.start {
            scan = scan.from(key.to_vec());
        }
        if let Some(key) = settings.end {
            scan = scan.until(key.to_vec());
        }
        if let Some(key) = settings.start_after {
            scan = scan.start_after(key.to_vec());
        }
        if settings.reverse == Some(true) {
            scan = scan.reverse();
        }
        if let Some(limit) = settings.limit.and_then(|limit| u64::try_from(limit).ok()) {
            scan = scan.limit(limit);
        }
        scan
    }
}

/// A scan on its way, which a thread of the pool may be reading a page of while the handle gives it up.
#[derive(Clone)]
pub(crate) struct Cursor(Arc<Mutex<Progress>>);

/// How far a scan is.
struct Progress {
    source: Source,
    /// What ended the last page early; thrown by the next call, after the entries before it were given.
    failure: Option<Error>,
}

enum Source {
    Entries(Iter),
    Keys(Keys),
}

/// Entries of a scan.
pub(crate) struct Page {
    packed: Vec<u8>,
    /// Whether there is nothing behind them.
    is_last: bool,
}

/// A scan as JavaScript holds it.
pub(crate) type CursorHandle = External<Slot<Cursor>>;

impl Content for Cursor {
    fn ended() -> Error {
        Error::InvalidArgument("the iterator is closed: begin another scan".to_owned())
    }
}

impl Cursor {
    /// A scan of keys and values.
    pub(crate) fn entries(iter: Iter) -> Cursor {
        Cursor::of(Source::Entries(iter))
    }

    /// A scan of keys only.
    pub(crate) fn keys(keys: Keys) -> Cursor {
        Cursor::of(Source::Keys(keys))
    }

    fn of(source: Source) -> Cursor {
        Cursor(Arc::new(Mutex::new(Progress { source, failure: None })))
    }

    /// The next page, of `page_bytes` or one entry more; empty at the end.
    fn page(&self, page_bytes: usize) -> opendb::Result<Page> {
        // A panic was in the core, which has said what it does to its iterator.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).page(page_bytes)
    }
}

impl Progress {
    fn page(&mut self, page_bytes: usize) -> opendb::Result<Page> {
        let mut packed = Vec::with_capacity(page_bytes);
        while packed.len() < page_bytes {
            match self.failure.take().map_or_else(|| self.append(&mut packed), Err) {
                Ok(true) => {}
                Ok(false) => return Ok(Page { packed, is_last: true }),
                Err(error) if packed.is_empty() => return Err(error),
                Err(error) => {
                    self.failure = Some(error);
                    break;
                }
            }
        }
        Ok(Page { packed, is_last: false })
    }

    /// Appends one entry to the page; false at the end.
    fn append(&mut self, page: &mut Vec<u8>) -> opendb::Result<bool> {
        match &mut self.source {
            Source::Entries(entries) => {
                let Some((key, value)) = entries.next_ref().transpose()? else { return Ok(false) };
                page.extend_from_slice(&length(key)?);
                page.extend_from_slice(&length(value)?);
                page.extend_from_slice(key);
                page.extend_from_slice(value);
            }
            Source::Keys(keys) => {
                let Some(key) = keys.next_ref().transpose()? else { return Ok(false) };
                page.extend_from_slice(&length(key)?);
                page.extend_from_slice(key);
            }
        }
        Ok(true)
    }
}

fn length(bytes: &[u8]) -> opendb::Result<[u8; 4]> {
    let length = u32::try_from(bytes.len());
    let length = length.map_err(|_| Error::Internal("an entry is over 4 GiB".to_owned()))?;
    Ok(length.to_le_bytes())
}

/// A handle for a scan.
#[napi(catch_unwind)]
pub(crate) fn cursor_new() -> CursorHandle {
    Slot::empty()
}

/// The next page of a scan, `null` at its end.
#[napi(catch_unwind)]
pub(crate) fn cursor_page<'env>(
    env: &'env Env,
    cursor: &CursorHandle,
    page_bytes: u32,
) -> Result<Option<BufferSlice<'env>>> {
    let page = cursor.call(env, |cursor| cursor.page(page_bytes as usize))?;
    if page.packed.is_empty() { Ok(None) } else { page_buffer(env, page).map(Some) }
}

/// As `cursorPage`, copied into `room` where it fits: then its bytes, less than zero where it is the last page. The scan is
/// given up with that.
#[napi(catch_unwind, ts_return_type = "number | Buffer | null")]
pub(crate) fn cursor_page_room<'env>(
    env: &'env Env,
    cursor: &CursorHandle,
    page_bytes: u32,
    mut room: BufferSlice<'_>,
) -> Result<Option<Either<i32, BufferSlice<'env>>>> {
    let page = cursor.call(env, |cursor| cursor.page(page_bytes as usize))?;
    if page.packed.is_empty() {
        return Ok(None);
    }
    match (room.get_mut(..page.packed.len()), i32::try_from(page.packed.len())) {
        (Some(room), Ok(bytes)) => {
            room.copy_from_slice(&page.packed);
            if page.is_last {
                drop(cursor.take());
            }
            Ok(Some(Either::A(if page.is_last { -bytes } else { bytes })))
        }
        _ => page_buffer(env, page).map(|page| Some(Either::B(page))),
    }
}

/// As `cursorPage`, on the thread pool; empty at the end of the scan.
#[napi(catch_unwind, ts_return_type = "Promise<Buffer>")]
pub(crate) fn cursor_page_async(
    env: &Env,
    cursor: &CursorHandle,
    page_bytes: u32,
) -> Result<AsyncTask<Background<Page, Buffer>>> {
    let cursor = cursor.copy(env)?;
    Ok(Background::run(move || cursor.page(page_bytes as usize), |_, page| Ok(Buffer::from(page.packed))))
}

/// A page as a copy, which the collector sees and frees; memory of ours would wait for the event loop to give it back.
fn page_buffer(env: &Env, page: Page) -> Result<BufferSlice<'_>> {
    BufferSlice::copy_from(env, page.packed)
}

/// Gives up a scan.
#[napi(catch_unwind)]
pub(crate) fn cursor_close(cursor: &CursorHandle) {
    drop(cursor.take());
}
