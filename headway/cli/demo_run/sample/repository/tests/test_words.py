import unittest

from textstats.words import count_characters, count_lines, words


class WordsTest(unittest.TestCase):
    def test_words_keep_apostrophes_and_hyphens(self):
        self.assertEqual(words("It's a well-known fact, 42 times."), ["It's", "a", "well-known", "fact", "times"])

    def test_lines_and_characters_are_counted(self):
        self.assertEqual((count_lines("a\nb\n"), count_characters("a\nb\n")), (2, 4))


if __name__ == "__main__":
    unittest.main()
