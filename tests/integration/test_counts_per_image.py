"""What one image costs in system calls and index statements: counts that do not depend on the machine."""
