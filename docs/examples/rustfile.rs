// SPDX-License-Identifier: Apache-2.0
//! A file as a disk, in Rust: the C ABI of lunkit/handler.h, with callbacks that block.
//!
//!     rustc --edition 2021 -O --crate-type cdylib -o handler_rustfile.so rustfile.rs
//!
//! Only what is used of the header is declared, in its order and with its types; both tables may end
//! early, and say so in struct_size. Needs no crate, and rustc 1.63 or later.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::size_of;
use std::os::raw::{c_char, c_int, c_void};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

const ABI_VERSION: u32 = 1;
const HANDLER_PARALLEL: u32 = 1 << 0;
const DEVICE_WRITE_CACHE: u32 = 1 << 1;
const DEVICE_PARALLEL: u32 = 1 << 3;
const OPEN_READ_ONLY: u32 = 1 << 0;
const OPEN_TAKE_OVER: u32 = 1 << 1;
const CHECK_SYNTAX_ONLY: u32 = 1 << 0;
const EINVAL: i32 = 22;
const EIO: i32 = 5;

#[repr(C)]
pub struct Open {
    struct_size: u32,
    flags: u32,
    config: *const c_char,
    name: *const c_char,
    size: u64,
    block_size: u32,
    reserved32: u32,
    host: *const c_void,
    host_device: *mut c_void,
    info: *mut DeviceInfo,
    error: *mut c_char,
    error_size: usize,
}

#[repr(C)]
pub struct DeviceInfo {
    struct_size: u32,
    flags: u32,
    size: u64,
}

#[repr(C)]
pub struct Check {
    struct_size: u32,
    flags: u32,
    config: *const c_char,
    host: *const c_void,
    error: *mut c_char,
    error_size: usize,
}

/// A callback that this handler does not have.
type Absent = Option<unsafe extern "C" fn()>;

#[repr(C)]
pub struct Handler {
    struct_size: u32,
    abi_version: u32,
    name: *const c_char,
    description: *const c_char,
    config_help: *const c_char,
    flags: u32,
    reserved32: u32,
    load: Absent,
    unload: Absent,
    check_config: Option<unsafe extern "C" fn(*const Check) -> c_int>,
    open: Option<unsafe extern "C" fn(*const Open, *mut *mut c_void) -> c_int>,
    close: Option<unsafe extern "C" fn(*mut c_void)>,
    /// read, write, flush, discard, write_zeroes, compare_and_write, extents, cancel
    asynchronous: [Absent; 8],
    read_blocking: Option<unsafe extern "C" fn(*mut c_void, *mut u8, u64, u64, u32) -> c_int>,
    write_blocking: Option<unsafe extern "C" fn(*mut c_void, *const u8, u64, u64, u32) -> c_int>,
    flush_blocking: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
    // What follows in the header, the runner does not look for: see struct_size.
}
// It points to constants only.
unsafe impl Sync for Handler {}

static HANDLER: Handler = Handler {
    struct_size: size_of::<Handler>() as u32,
    abi_version: ABI_VERSION,
    name: b"rustfile\0".as_ptr() as *const c_char,
    description: b"a file as a disk, in Rust\0".as_ptr() as *const c_char,
    config_help: b"<path>\0".as_ptr() as *const c_char,
    flags: HANDLER_PARALLEL,
    reserved32: 0,
    load: None,
    unload: None,
    check_config: Some(check_config),
    open: Some(open),
    close: Some(close),
    asynchronous: [None; 8],
    read_blocking: Some(read),
    write_blocking: Some(write),
    flush_blocking: Some(flush),
};

/// The plugin's one exported function.
#[no_mangle]
pub extern "C" fn lunkit_handler_entry(_host: *const c_void) -> *const Handler {
    &HANDLER
}

struct Disk {
    file: File,
    lost: AtomicI32,
}

/// An error as the ABI has it: a negative errno, with a sentence where there is room for one.
struct Refusal(i32, String);

impl Refusal {
    fn by(path: &str, error: &io::Error) -> Refusal {
        Refusal(errno_of(error), format!("{}: {}", path, error))
    }
    unsafe fn tell(&self, text: *mut c_char, size: usize) -> c_int {
        if !text.is_null() && size > 0 {
            let length = self.1.len().min(size - 1);
            ptr::copy_nonoverlapping(self.1.as_ptr(), text as *mut u8, length);
            *text.add(length) = 0;
        }
        -self.0
    }
}

fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(EIO)
}

/// No panic may leave Rust: the daemon serves other disks as well.
fn guarded<T>(call: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(Refusal(EIO, "the handler has panicked".to_string())))
}

fn answer(result: Result<(), Refusal>) -> c_int {
    result.map_or_else(|refusal| -refusal.0, |()| 0)
}

unsafe fn path_of(config: *const c_char) -> Result<&'static str, Refusal> {
    let text = CStr::from_ptr(config)
        .to_str()
        .map_err(|_| Refusal(EINVAL, "the path is no UTF-8".to_string()))?;
    if text.is_empty() {
        return Err(Refusal(EINVAL, "a file needs a path".to_string()));
    }
    if text.contains(';') {
        return Err(Refusal(EINVAL, "rustfile knows no keys".to_string()));
    }
    Ok(text)
}

unsafe extern "C" fn check_config(check: *const Check) -> c_int {
    let check = &*check;
    let result = guarded(|| {
        let path = path_of(check.config)?;
        if check.flags & CHECK_SYNTAX_ONLY != 0 {
            return Ok(());
        }
        match File::open(path) {
            // open() makes it.
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Refusal::by(path, &error)),
            _ => Ok(()),
        }
    });
    result.map_or_else(|refusal| refusal.tell(check.error, check.error_size), |()| 0)
}

unsafe extern "C" fn open(request: *const Open, device: *mut *mut c_void) -> c_int {
    let request = &*request;
    let result = guarded(|| {
        let path = path_of(request.config)?;
        let read_only = request.flags & OPEN_READ_ONLY != 0;
        // One that has to be there already is not made anew.
        let may_create =
            !read_only && request.size != 0 && request.flags & OPEN_TAKE_OVER == 0;
        let file = OpenOptions::new()
            .read(true)
            .write(!read_only)
            .create(may_create)
            .mode(0o600)
            .open(path)
            .map_err(|error| Refusal::by(path, &error))?;
        let mut size = file.metadata().map_err(|error| Refusal::by(path, &error))?.len();
        if size == 0 && may_create {
            file.set_len(request.size).map_err(|error| Refusal::by(path, &error))?;
            size = request.size;
        }
        (*request.info).size = size;
        (*request.info).flags = DEVICE_WRITE_CACHE | DEVICE_PARALLEL;
        *device = Box::into_raw(Box::new(Disk { file, lost: AtomicI32::new(0) })) as *mut c_void;
        Ok(())
    });
    result.map_or_else(|refusal| refusal.tell(request.error, request.error_size), |()| 0)
}

unsafe extern "C" fn close(device: *mut c_void) {
    drop(Box::from_raw(device as *mut Disk));
}

unsafe extern "C" fn read(
    device: *mut c_void, to: *mut u8, length: u64, offset: u64, _flags: u32,
) -> c_int {
    answer(guarded(|| {
        // What the runner lends need not be initialised.
        ptr::write_bytes(to, 0, length as usize);
        let to = std::slice::from_raw_parts_mut(to, length as usize);
        let disk = &*(device as *const Disk);
        disk.file.read_exact_at(to, offset).map_err(|error| Refusal::by("", &error))
    }))
}

unsafe extern "C" fn write(
    device: *mut c_void, from: *const u8, length: u64, offset: u64, _flags: u32,
) -> c_int {
    answer(guarded(|| {
        let from = std::slice::from_raw_parts(from, length as usize);
        let disk = &*(device as *const Disk);
        disk.file.write_all_at(from, offset).map_err(|error| Refusal::by("", &error))
    }))
}

/// What failed once has lost something, and the kernel tells it once only.
unsafe extern "C" fn flush(device: *mut c_void) -> c_int {
    let disk = &*(device as *const Disk);
    if let Err(error) = disk.file.sync_data() {
        disk.lost.store(errno_of(&error), Ordering::Relaxed);
    }
    -disk.lost.load(Ordering::Relaxed)
}
