package terraform

import (
	"encoding/json"
	"strconv"
)

// path is the path of a block or attribute: the parts of a JSON list.
type path string

func (p path) key(name string) path {
	for index := range len(name) {
		// Most names need no escapes.
		letter := name[index]
		if letter != '_' && letter != '-' && (letter < '0' || letter > '9') && (letter|0x20 < 'a' || letter|0x20 > 'z') {
			encoded, _ := json.Marshal(name)
			return p.join(string(encoded))
		}
	}
	return p.join(`"` + name + `"`)
}

func (p path) index(number int) path { return p.join(strconv.Itoa(number)) }

func (p path) join(encoded string) path {
	if p == "" {
		return path(encoded)
	}
	return p + "," + path(encoded)
}

// places is where each block and attribute begins, as JSON. It is most of an answer, and so it is written at once.
type places []byte

func (p *places) add(at path, line, column int) {
	if len(*p) > 0 {
		*p = append(*p, ',')
	}
	*p = append(append(append(*p, "[["...), at...), "],"...)
	*p = append(strconv.AppendInt(*p, int64(line), 10), ',')
	*p = append(strconv.AppendInt(*p, int64(column), 10), ']')
}

func (p places) encode() string { return "[" + string(p) + "]" }
