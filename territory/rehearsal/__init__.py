"""A night rehearsed over real protocols on a clock that is moved by hand: the story that ``telegarde demo`` plays."""
