//! Real descriptors under a program's own numbers.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use tapsock::Errno;

/// The real descriptors of a program that runs on the kernel, by the numbers that it would have with us: each new one
/// gets the lowest that is free.
///
/// ```
/// use tapsock::Errno;
/// use tapsock_tests::descriptors::Descriptors;
///
/// let mut descriptors = Descriptors::default();
/// assert_eq!(descriptors.enter(std::fs::File::open("/dev/null")?.into()), 0);
/// assert_eq!(descriptors.close(0), Ok(()));
/// assert_eq!(descriptors.fd(0).unwrap_err(), Errno::BADF);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Descriptors(Vec<Option<OwnedFd>>);

impl Descriptors {
    /// The one that the program calls `number`.
    ///
    /// # Errors
    /// EBADF.
    pub fn fd(&self, number: i32) -> Result<BorrowedFd<'_>, Errno> {
        let index = usize::try_from(number).map_err(|_| Errno::BADF)?;
        Ok(self.0.get(index).and_then(Option::as_ref).ok_or(Errno::BADF)?.as_fd())
    }

    /// Takes `fd`, and returns its number.
    pub fn enter(&mut self, fd: OwnedFd) -> i32 {
        let free = self.0.iter().position(Option::is_none).unwrap_or(self.0.len());
        if free == self.0.len() {
            self.0.push(None);
        }
        self.0[free] = Some(fd);
        free as i32
    }

    /// Closes the one that the program calls `number`.
    ///
    /// # Errors
    /// EBADF.
    pub fn close(&mut self, number: i32) -> Result<(), Errno> {
        self.fd(number)?;
        self.0[number as usize] = None;
        Ok(())
    }
}
