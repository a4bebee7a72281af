//! Floor 2, pure. The canary: every rule of tidy must find something in this little tree.
use crate::stomp::Stomp;
struct MemoryChunk;
fn f() {
    unsafe { libc::getpid() };
    dbg!(1);
} 
