//! A disk that hangs, for tests on machines where none can be frozen. The daemon is started with this library before all others
//! (`LD_PRELOAD`): while the file `hangs` stands beside its data folder, which is `$DATA`, every call that reads or writes
//! a file in that folder waits, as on a disk that does not answer. Then the kernel does what was asked for.
#![expect(unsafe_code, reason = "a C ABI is exported symbols and raw pointers")]

use std::ffi::{CString, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use libc::{off64_t, size_t, ssize_t};

/// Exports calls of the C library that wait for the disk first.
macro_rules! calls {
    ($(fn $name:ident($($argument:ident: $kind:ty),*) -> $answer:ty = $number:ident;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(file: c_int, $($argument: $kind),*) -> $answer {
            wait(file);
            // SAFETY: the caller keeps to the C library's rules for this call, and they are the kernel's.
            unsafe { libc::syscall(libc::$number, file, $($argument),*) as $answer }
        }
    )*};
}

calls! {
    fn read(bytes: *mut c_void, count: size_t) -> ssize_t = SYS_read;
    fn write(bytes: *const c_void, count: size_t) -> ssize_t = SYS_write;
    fn pread64(bytes: *mut c_void, count: size_t, offset: off64_t) -> ssize_t = SYS_pread64;
    fn pwrite64(bytes: *const c_void, count: size_t, offset: off64_t) -> ssize_t = SYS_pwrite64;
    fn fsync() -> c_int = SYS_fsync;
    fn fdatasync() -> c_int = SYS_fdatasync;
    fn ftruncate64(length: off64_t) -> c_int = SYS_ftruncate;
}

/// Where the disk is, and the file that makes it hang.
struct Disk {
    folder: PathBuf,
    hangs: CString,
}

impl Disk {
    fn get() -> Option<&'static Self> {
        static DISK: OnceLock<Option<Disk>> = OnceLock::new();
        let disk = DISK.get_or_init(|| {
            let folder = PathBuf::from(std::env::var_os("DATA")?);
            let hangs = CString::new(folder.with_file_name("hangs").as_os_str().as_bytes()).ok()?;
            Some(Self { folder, hangs })
        });
        disk.as_ref()
    }

    fn is_hanging(&self) -> bool {
        // SAFETY: the path ends with a zero.
        unsafe { libc::access(self.hangs.as_ptr(), libc::F_OK) == 0 }
    }
}

/// Waits while the disk on which the file lies hangs.
fn wait(file: c_int) {
    let Some(disk) = Disk::get().filter(|disk| disk.is_hanging()) else { return };
    let is_there = std::fs::read_link(Path::new("/proc/self/fd").join(file.to_string()))
        .is_ok_and(|path| path.starts_with(&disk.folder));
    while is_there && disk.is_hanging() {
        std::thread::sleep(Duration::from_millis(5));
    }
}
