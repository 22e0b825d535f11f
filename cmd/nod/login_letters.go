package main

import "strings"

// letters are five by five dots each, row by row: what codes are written in, ours and
// those of other servers.
var letters = map[rune]string{
	'A': ".###. #...# ##### #...# #...#", 'B': "####. #...# ####. #...# ####.", 'C': ".#### #.... #.... #.... .####",
	'D': "####. #...# #...# #...# ####.", 'E': "##### #.... ####. #.... #####", 'F': "##### #.... ####. #.... #....",
	'G': ".#### #.... #..## #...# .####", 'H': "#...# #...# ##### #...# #...#", 'I': "##### ..#.. ..#.. ..#.. #####",
	'J': "..### ...#. ...#. #..#. .##..", 'K': "#...# #..#. ###.. #..#. #...#", 'L': "#.... #.... #.... #.... #####",
	'M': "#...# ##.## #.#.# #...# #...#", 'N': "#...# ##..# #.#.# #..## #...#", 'O': ".###. #...# #...# #...# .###.",
	'P': "####. #...# ####. #.... #....", 'Q': ".###. #...# #.#.# #..#. .##.#", 'R': "####. #...# ####. #..#. #...#",
	'S': ".#### #.... .###. ....# ####.", 'T': "##### ..#.. ..#.. ..#.. ..#..", 'U': "#...# #...# #...# #...# .###.",
	'V': "#...# #...# #...# .#.#. ..#..", 'W': "#...# #...# #.#.# ##.## #...#", 'X': "#...# .#.#. ..#.. .#.#. #...#",
	'Y': "#...# .#.#. ..#.. ..#.. ..#..", 'Z': "##### ...#. ..#.. .#... #####",
	'0': ".###. #..## #.#.# ##..# .###.", '1': "..#.. .##.. ..#.. ..#.. .###.", '2': "####. ....# .###. #.... #####",
	'3': "####. ....# .###. ....# ####.", '4': "#..#. #..#. ##### ...#. ...#.", '5': "##### #.... ####. ....# ####.",
	'6': ".###. #.... ####. #...# .###.", '7': "##### ...#. ..#.. .#... .#...", '8': ".###. #...# .###. #...# .###.",
	'9': ".###. #...# .#### ....# .###.", '-': "..... ..... .###. ..... .....", ' ': "..... ..... ..... ..... .....",
}

// largeLetters writes a code three lines high, two dots to a character, each line
// ended by a line feed; "" when it has a character that is not among the letters.
func largeLetters(code string) string {
	var dots [6]string // one more than five: lines hold two
	for _, r := range strings.ToUpper(code) {
		rows := strings.Fields(letters[r])
		if len(rows) == 0 {
			return ""
		}
		for i := range dots {
			row := "....."
			if i < len(rows) {
				row = rows[i]
			}
			dots[i] += row + "."
		}
	}
	var out strings.Builder
	for y := 0; y < len(dots); y += 2 {
		for x := range dots[y] {
			out.WriteString(halves[[2]byte{dots[y][x], dots[y+1][x]}])
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// halves are the characters for two dots, one above the other.
var halves = map[[2]byte]string{
	{'.', '.'}: " ", {'#', '.'}: "▀", {'.', '#'}: "▄", {'#', '#'}: "█",
}
