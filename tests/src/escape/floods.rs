//! Taking all there is of something: processes, memory, room, descriptors. Each is bounded here, so that the machine
//! stays well where nothing else bounds it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use super::sys::{self, ask};
use super::{Attempt, Claim, missed, reached};

/// What a session of the scene may have at once.
pub const PIDS_MAX: u64 = 64;
pub const MEMORY_BYTES_MAX: u64 = 256 << 20;
pub const TMP_BYTES_MAX: u64 = 32 << 20;

/// What is tried for: well above each bound, and nothing a machine would feel.
const PIDS: usize = 200;
const MEMORY_BYTES: usize = 384 << 20;
const ROOM_BYTES: usize = 64 << 20;

/// More than a program with a build in it needs.
const DESCRIPTORS: usize = 18_000;

const PAGE: usize = 4096;
const MIB: usize = 1 << 20;

/// Makes children until there are enough or no more may be.
fn children(make: impl Fn() -> io::Result<i32>) -> Claim {
    let mut made = Vec::new();
    let mut trouble = None;
    while made.len() < PIDS {
        match make() {
            Ok(pid) => made.push(pid),
            Err(why) => {
                trouble = Some(why);
                break;
            }
        }
    }
    let count = made.len();
    made.into_iter().for_each(sys::end_child);
    match trouble {
        None => reached(format!("{count} at once")),
        Some(why) => missed(&format!("{count} at once, then {why}")),
    }
}

/// Takes memory and touches every page of it.
fn touches(bytes: usize, flags: i32, fd: i64) -> Claim {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let at = ask!(libc::SYS_mmap, 0, bytes, rights, flags, fd, 0)?;
    let at = usize::try_from(at).map_err(io::Error::other)?;
    for page in 0..bytes / PAGE {
        // SAFETY: within what was mapped just now.
        unsafe { std::ptr::write_volatile((at + page * PAGE) as *mut u8, 1) };
    }
    reached(format!("{bytes} bytes touched"))
}

/// In a child, for whoever takes too much may be ended.
fn child_touches(bytes: usize, flags: i32) -> Claim {
    let worked = sys::in_child(|| touches(bytes, flags, -1).is_ok())?;
    if worked { reached(format!("{bytes} bytes touched")) } else { missed("refused or ended for it") }
}

/// What is above the bound is ended within this time.
const KEPT: Duration = Duration::from_secs(2);

/// In a child, which takes it in parts none of which is too much, and keeps it.
fn keeps(take: impl FnOnce() -> bool) -> Claim {
    let kept = sys::in_child(|| {
        let taken = take();
        std::thread::sleep(KEPT);
        taken
    })?;
    if kept { reached(format!("{MEMORY_BYTES} bytes kept")) } else { missed("refused or ended for it") }
}

/// Takes it in so many parts.
fn touches_parts(parts: usize, flags: i32, fd: i64) -> bool {
    (0..parts).all(|_| touches(MEMORY_BYTES / parts, flags, fd).is_ok())
}

/// Several processes, none of which has too much, keep it; answers whether nobody was ended.
fn shares(processes: usize) -> bool {
    let own = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let made = (0..processes).map(|_| {
        // SAFETY: the adversary has one thread, so its child may do anything, and ends without what is its parent's.
        match unsafe { libc::fork() } {
            0 => {
                let taken = touches(MEMORY_BYTES / processes, own, -1).is_ok();
                std::thread::sleep(KEPT);
                // SAFETY: as above.
                unsafe { libc::_exit(i32::from(!taken)) }
            }
            child => child,
        }
    });
    let made: Vec<i32> = made.collect();
    let ended = made.into_iter().map(|child| {
        let mut status = 0;
        // SAFETY: the child is ours, and `status` lives on this stack.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        waited == child && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    });
    // Everybody is waited for, whoever was ended.
    let kept: Vec<bool> = ended.collect();
    kept.into_iter().all(|kept| kept)
}

/// Fills a file until there is enough in it or no more may be, and removes it.
fn fills(path: &Path) -> Claim {
    let mut file = File::create(path)?;
    let piece = vec![1_u8; MIB];
    let filled = (0..ROOM_BYTES / MIB).try_for_each(|_| file.write_all(&piece));
    fs::remove_file(path)?;
    filled?;
    reached(format!("{ROOM_BYTES} bytes in {}", path.display()))
}

/// A thread that waits: it shares all, so the kernel's own call makes it without a library's care.
fn thread() -> io::Result<i32> {
    // A child with its own memory counts as one, as a thread does.
    sys::idle_child()
}

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::told("forks", "makes more children than it may", |_| children(sys::idle_child)),
    Attempt::told("forks-of-forks", "makes them by a child that is not its own", |_| {
        let worked = sys::in_child(|| {
            let _own = ask!(libc::SYS_setsid);
            children(thread).is_ok()
        })?;
        if worked { reached("enough of them") } else { missed("refused") }
    }),
    Attempt::told("threads", "makes more threads than it may", |_| {
        let (tell, told) = std::sync::mpsc::channel::<()>();
        let told = std::sync::Arc::new(std::sync::Mutex::new(told));
        let mut threads = Vec::new();
        let mut trouble = None;
        while threads.len() < PIDS {
            let told = std::sync::Arc::clone(&told);
            let thread = std::thread::Builder::new().stack_size(64 * 1024).spawn(move || {
                // Whoever holds the lock waits for the end, and the others for the lock.
                let _end = told.lock().map(|told| told.recv());
            });
            match thread {
                Ok(thread) => threads.push(thread),
                Err(why) => {
                    trouble = Some(why);
                    break;
                }
            }
        }
        let count = threads.len();
        drop(tell);
        threads.into_iter().for_each(|thread| drop(thread.join()));
        trouble.map_or_else(|| reached(format!("{count} at once")), Err)
    }),
    Attempt::told("memory", "takes more memory than it may", |_| {
        child_touches(MEMORY_BYTES, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS)
    }),
    Attempt::told("memory-shared", "takes it as memory to be shared", |_| {
        child_touches(MEMORY_BYTES, libc::MAP_SHARED | libc::MAP_ANONYMOUS)
    }),
    Attempt::told("memory-shared-in-parts", "takes that in parts", |_| {
        keeps(|| touches_parts(24, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1))
    }),
    Attempt::told("memory-of-zeros", "takes it as the device of zeros, seen as memory", |_| {
        let zeros = File::options().read(true).write(true).open("/dev/zero")?;
        keeps(|| touches_parts(1, libc::MAP_SHARED, std::os::fd::AsRawFd::as_raw_fd(&zeros).into()))
    }),
    Attempt::told("memory-of-many", "takes it by several processes", |_| {
        if shares(6) { reached("nobody was ended") } else { missed("refused or ended for it") }
    }),
    Attempt::told("memory-unseen", "takes it in processes that do not let themselves be looked at", |_| {
        // The first of these hides, and whoever comes from it.
        ask!(libc::SYS_prctl, libc::PR_SET_DUMPABLE, 0, 0, 0, 0)?;
        if shares(6) { reached("nobody was ended") } else { missed("refused or ended for it") }
    }),
    Attempt::told("memory-of-names", "takes it as files in the memory for files, seen as memory", |s| {
        let path = format!("/dev/shm/{}-much", s.mark());
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        fs::remove_file(&path)?;
        file.set_len(MEMORY_BYTES as u64)?;
        keeps(|| touches_parts(1, libc::MAP_SHARED, std::os::fd::AsRawFd::as_raw_fd(&file).into()))
    }),
    Attempt::told("memory-growing", "takes it by moving the end of its data", |_| {
        let worked = sys::in_child(|| {
            let Ok(end) = ask!(libc::SYS_brk, 0) else { return false };
            let wanted = end + i64::try_from(MEMORY_BYTES).unwrap_or(0);
            ask!(libc::SYS_brk, wanted).is_ok_and(|now| now == wanted)
        })?;
        if worked { reached("it has moved") } else { missed("it stays") }
    }),
    Attempt::told("memory-file", "takes it as a file without a name", |_| {
        let fd = ask!(libc::SYS_memfd_create, c"much", 0)?;
        let piece = vec![1_u8; MIB];
        for _ in 0..MEMORY_BYTES / MIB {
            ask!(libc::SYS_write, fd, piece.as_ptr(), MIB)?;
        }
        reached(format!("{MEMORY_BYTES} bytes"))
    }),
    Attempt::told("memory-file-mapped", "takes it as such a file, seen as memory", |_| {
        let fd = ask!(libc::SYS_memfd_create, c"much", 0)?;
        ask!(libc::SYS_ftruncate, fd, MEMORY_BYTES)?;
        let worked = sys::in_child(|| touches(MEMORY_BYTES, libc::MAP_SHARED, fd).is_ok())?;
        if worked { reached(format!("{MEMORY_BYTES} bytes")) } else { missed("refused or ended for it") }
    }),
    Attempt::told("memory-segments", "takes it as segments others could have", |_| {
        let mut ids = Vec::new();
        let mut answer = reached("taken");
        for _ in 0..MEMORY_BYTES / ROOM_BYTES {
            let id = match ask!(libc::SYS_shmget, 0, ROOM_BYTES, libc::IPC_CREAT | 0o600) {
                Ok(id) => id,
                Err(why) => {
                    answer = Err(why);
                    break;
                }
            };
            ids.push(id);
            match ask!(libc::SYS_shmat, id, 0, 0).and_then(|at| usize::try_from(at).map_err(io::Error::other))
            {
                // SAFETY: the segment was attached just now and is so large.
                Ok(at) => (0..ROOM_BYTES / PAGE)
                    .for_each(|page| unsafe { std::ptr::write_volatile((at + page * PAGE) as *mut u8, 1) }),
                Err(why) => answer = Err(why),
            }
        }
        for id in ids {
            let _removed = ask!(libc::SYS_shmctl, id, libc::IPC_RMID, 0);
        }
        answer
    }),
    Attempt::told("locked-memory", "keeps memory from ever being swapped", |_| {
        let all = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_LOCKED;
        child_touches(ROOM_BYTES, all)
    })
    .root("the limit for plain users is 8 MiB here"),
    Attempt::told("fill-tmp", "fills the folder for what is temporary", |s| {
        fills(Path::new(&format!("/tmp/{}-fill", s.mark())))
    }),
    Attempt::told("fill-shared-memory", "fills the memory for files", |s| {
        fills(Path::new(&format!("/dev/shm/{}-fill", s.mark())))
    }),
    Attempt::told("fill-var-tmp", "fills the other folder for what is temporary", |s| {
        fills(Path::new(&format!("/var/tmp/{}-fill", s.mark())))
    }),
    Attempt::told("fill-run", "fills the folder for what runs", |s| {
        fills(Path::new(&format!("/run/{}-fill", s.mark())))
    })
    .root("the folder is root's here"),
    Attempt::told("fill-dev", "fills the folder of the devices", |s| {
        fills(Path::new(&format!("/dev/{}-fill", s.mark())))
    })
    .root("the folder is root's here"),
    Attempt::told("nodes-of-tmp", "uses up the names of the folder for what is temporary", |s| {
        let folder = format!("/tmp/{}-names", s.mark());
        fs::create_dir(&folder)?;
        let made = (0..40_000).try_for_each(|number| File::create(format!("{folder}/{number}")).map(drop));
        fs::remove_dir_all(&folder)?;
        made?;
        reached("40000 names")
    }),
    Attempt::told("descriptors", "opens more files than anybody needs", |_| {
        let mut all = vec![0_u64; 2];
        // As many as it is let.
        ask!(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, 0, all.as_mut_ptr())?;
        all[0] = all[1];
        ask!(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, all.as_ptr(), 0)?;
        let opened = (0..DESCRIPTORS).try_for_each(|_| ask!(libc::SYS_dup, 0).map(drop));
        let _closed = ask!(libc::SYS_close_range, 21, u32::MAX, 0);
        opened?;
        reached(format!("{DESCRIPTORS} open"))
    }),
];
