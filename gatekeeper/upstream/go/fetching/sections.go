package fetching

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"

	"sigs.k8s.io/yaml"
)

// findYAML finds the sections of all charts in an index of the layout that `helm repo index` writes: keys at the start
// of lines, and nothing before `entries:` is needed to read what is below it.
func (i *Index) findYAML() error {
	scan := yamlScan{sections: map[string]section{}}
	reader := bufio.NewReaderSize(io.NewSectionReader(i.file, 0, i.size()), 1<<16)
	for {
		line, isWhole, err := readStart(reader)
		if line != "" {
			if !scan.add(line) {
				return errBroken
			}
			scan.offset += isWhole
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	scan.close()
	if !scan.hasVersion {
		return errBroken
	}
	i.sections = scan.sections
	return nil
}

// readStart reads a line, and returns the start of it and its length.
func readStart(reader *bufio.Reader) (string, int64, error) {
	start, err := reader.ReadSlice('\n')
	text, length := string(start[:min(len(start), 512)]), int64(len(start))
	for err == bufio.ErrBufferFull {
		start, err = reader.ReadSlice('\n')
		length += int64(len(start))
	}
	return text, length, err
}

// yamlScan is what was found up to a line.
type yamlScan struct {
	sections   map[string]section
	offset     int64
	inEntries  bool
	hasVersion bool
	indent     int
	name       string
	start      int64
}

// add reads the next line; false if the layout is not the usual one.
func (s *yamlScan) add(line string) bool {
	content := strings.TrimLeft(line, " ")
	indent := len(line) - len(content)
	text := strings.TrimRight(content, " \t\r\n")
	if text == "" || strings.HasPrefix(text, "#") {
		return true
	}
	if indent == 0 {
		return s.addTop(text)
	}
	if !s.inEntries {
		return true
	}
	if s.indent == 0 {
		s.indent = indent
	}
	isItem := text == "-" || strings.HasPrefix(text, "- ")
	switch {
	case indent < s.indent:
		return false
	case indent > s.indent || isItem:
		return s.name != ""
	}
	return s.open(text, int64(len(line)))
}

// addTop reads a line without indentation.
func (s *yamlScan) addTop(text string) bool {
	wasInEntries := s.inEntries
	s.close()
	s.inEntries = false
	key, value, found := strings.Cut(text, ":")
	switch {
	case text == "---":
		return true
	case strings.HasPrefix(text, "- "):
		return !wasInEntries
	case !found || strings.ContainsAny(key, " \t-{}[]&*!|>'\"%@`,?"):
		return false
	case key == "entries":
		s.inEntries = true
		value = strings.TrimSpace(value)
		return len(s.sections) == 0 && (value == "" || value == "{}" || strings.HasPrefix(value, "#"))
	case key == "apiVersion":
		s.hasVersion = strings.Trim(strings.TrimSpace(value), `'"`) != ""
	}
	return true
}

// open starts the section of a chart, of which the key is alone in its line.
func (s *yamlScan) open(text string, length int64) bool {
	s.close()
	var key map[string]any
	if err := yaml.Unmarshal([]byte(text), &key); err != nil || len(key) != 1 {
		return false
	}
	for name, value := range key {
		if list, isList := value.([]any); value != nil && (!isList || len(list) > 0) {
			return false
		}
		if _, known := s.sections[name]; known || name == "" {
			return false
		}
		s.name, s.start = name, s.offset+length
		if value != nil {
			s.start = -1
		}
	}
	return true
}

// close ends the section of a chart at the present offset.
func (s *yamlScan) close() {
	if s.name != "" {
		place := section{s.start, s.offset}
		if s.start < 0 || s.start > s.offset {
			place = section{s.offset, s.offset}
		}
		s.sections[s.name] = place
	}
	s.name = ""
}

// findJSON finds the sections of all charts in an index that is JSON.
func (i *Index) findJSON() error {
	// Each value is in memory for a moment.
	wholes.Lock()
	defer wholes.Unlock()
	decoder := json.NewDecoder(io.NewSectionReader(i.file, 0, i.size()))
	if opening, err := decoder.Token(); err != nil || opening != json.Delim('{') {
		return errBroken
	}
	hasVersion := false
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return errBroken
		}
		switch key {
		case "entries":
			if i.sections, err = findMembers(decoder); err != nil {
				return err
			}
		case "apiVersion":
			var version string
			if err := decoder.Decode(&version); err != nil {
				return errBroken
			}
			hasVersion = version != ""
		default:
			var ignored json.RawMessage
			if err := decoder.Decode(&ignored); err != nil {
				return errBroken
			}
		}
	}
	if _, err := decoder.Token(); err != nil || !hasVersion {
		return errBroken
	}
	return nil
}

// findMembers finds where the values of an object are.
func findMembers(decoder *json.Decoder) (map[string]section, error) {
	found := map[string]section{}
	opening, err := decoder.Token()
	if err != nil {
		return nil, errBroken
	}
	if opening != json.Delim('{') {
		if opening == nil {
			return found, nil
		}
		return nil, errBroken
	}
	for decoder.More() {
		key, err := decoder.Token()
		name, isText := key.(string)
		var value json.RawMessage
		if err != nil || !isText || decoder.Decode(&value) != nil {
			return nil, errBroken
		}
		end := decoder.InputOffset()
		found[name] = section{end - int64(len(value)), end}
	}
	_, err = decoder.Token()
	return found, err
}
