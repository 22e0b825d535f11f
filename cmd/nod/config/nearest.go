package config

import "strings"

// Nearest returns the known word that somebody who wrote word most likely meant,
// or "" when none is near: at most one typing error for every four letters, and
// one more. Case and the kind of dash do not count.
func Nearest(word string, known []string) string {
	plain := strings.ToLower(strings.ReplaceAll(word, "_", "-"))
	best, least := "", len(plain)/4+2
	for _, k := range known {
		if d := distance(plain, strings.ToLower(strings.ReplaceAll(k, "_", "-"))); d < least {
			best, least = k, d
		}
	}
	if best != "" || len(plain) < 3 {
		return best
	}
	for _, k := range known { // half a name: "key-file", "master-key"
		if strings.Contains(strings.ToLower(strings.ReplaceAll(k, "_", "-")), plain) {
			return k
		}
	}
	return ""
}

// distance is Levenshtein's: how many letters must be put in, taken out or
// replaced to turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1) // distances of a[:i] to every b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
