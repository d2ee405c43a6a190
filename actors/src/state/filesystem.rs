//! Which file systems are another machine's: locks and the journal's shared memory do not hold there.

use std::io;
use std::path::Path;

/// The kind of network file system a path lies on; nothing where it is a local one.
#[cfg(target_os = "linux")]
pub fn network(path: &Path) -> io::Result<Option<String>> {
    use std::os::unix::fs::MetadataExt;

    let magic = rustix::fs::statfs(path)?.f_type as u32;
    if magic != FUSE {
        return Ok(by_magic(magic).map(str::to_owned));
    }
    // FUSE carries local and remote ones alike; the mount table knows which it is.
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    Ok(fuse_kind(&mounts, std::fs::metadata(path)?.dev()))
}

#[cfg(not(target_os = "linux"))]
pub fn network(path: &Path) -> io::Result<Option<String>> {
    let about = rustix::fs::statfs(path)?;
    let local = about.f_flags & libc::MNT_LOCAL as u32 != 0;
    Ok((!local).then(|| "a network file system".to_owned()))
}

#[cfg(target_os = "linux")]
const FUSE: u32 = 0x6573_5546;

#[cfg(target_os = "linux")]
fn by_magic(magic: u32) -> Option<&'static str> {
    match magic {
        0x0000_6969 => Some("NFS"),
        0x0000_517b => Some("SMB"),
        0xff53_4d42 => Some("CIFS"),
        0xfe53_4d42 => Some("SMB 2"),
        0x00c3_6400 => Some("Ceph"),
        0x5346_414f | 0x6b41_4653 => Some("AFS"),
        0x0102_1997 => Some("9P"),
        0x7375_7245 => Some("Coda"),
        0x0bd0_0bd0 => Some("Lustre"),
        0x4750_4653 => Some("GPFS"),
        0x0116_1970 => Some("GFS2"),
        0x7461_636f => Some("OCFS2"),
        _ => None,
    }
}

#[cfg(target_os = "linux")]
fn fuse_kind(mounts: &str, device: u64) -> Option<String> {
    const REMOTE: [&str; 8] = ["sshfs", "glusterfs", "s3fs", "rclone", "davfs", "ceph", "gcsfuse", "juicefs"];
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some(&device))?;
    let (_, after) = mount.split_once(" - ")?;
    let kind = after.split(' ').next()?;
    REMOTE.iter().any(|remote| kind.contains(remote)).then(|| kind.to_owned())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_number() {
        assert_eq!(by_magic(0x6969), Some("NFS"));
        assert_eq!(by_magic(0xff53_4d42), Some("CIFS"));
        for local in [0xef53_u32, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1] {
            assert_eq!(by_magic(local), None, "{local:x}");
        }
    }

    #[test]
    fn a_fuse_mount_is_judged_by_what_stands_behind_it() {
        let mounts = "36 35 0:50 / /home/me rw shared:1 - fuse.sshfs me@host: rw\n\
                      37 35 0:51 / /media/disk rw - fuseblk /dev/sdb1 rw\n";
        assert_eq!(fuse_kind(mounts, rustix::fs::makedev(0, 50)), Some("fuse.sshfs".to_owned()));
        assert_eq!(fuse_kind(mounts, rustix::fs::makedev(0, 51)), None);
        assert_eq!(fuse_kind(mounts, rustix::fs::makedev(0, 52)), None);
    }
}
