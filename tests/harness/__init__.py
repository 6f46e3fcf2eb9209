"""What tests share: real peers, sample files."""
