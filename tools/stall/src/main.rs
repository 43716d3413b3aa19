//! The frozen-thread test: stops one thread after every instruction of a call
//! and checks what the others see. `docs/stall.md` says how.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod calls;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod cli;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod drive;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod killed;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod markers;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod measure;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod opening;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod openings;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod page;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod queue;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod report;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod rival;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod row;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod torture;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tracee;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod victim;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod worlds;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() -> std::process::ExitCode {
    cli::main()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() {
    println!("SKIP: stepping through a call is implemented for Linux on x86-64");
    println!("0 passed, 0 failed, 1 skipped");
}
