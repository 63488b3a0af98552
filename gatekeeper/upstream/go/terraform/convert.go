package terraform

import (
	"encoding/json"
	"math/big"
	"regexp"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

const otherShape = "a block has the name of an attribute, or another number of labels than one before it"

// converter converts one file. Nothing is evaluated: an expression becomes its text in ${}.
//
// Source: the shape is that of github.com/tmccombs/hcl2json, which conftest uses.
type converter struct {
	source []byte
	lines  lines
	places places
}

// largestExponent is that of what fits into 64 bits of floating point.
const largestExponent = 1020

// plainNumber is a number that JSON has in the same form.
var plainNumber = regexp.MustCompile(`^-?(?:0|[1-9][0-9]*)(?:\.[0-9]*[1-9])?$`)

// markers writes what is no expression as the file has it.
var markers = strings.NewReplacer("${", "$${", "%{", "%%{")

func (c *converter) record(at path, where hcl.Range) {
	line, column := c.lines.locate(where.Start.Byte)
	c.places.add(at, line, column)
}

func (c *converter) fault(message string, at hcl.Range) *Fault {
	line, column := c.lines.locate(at.Start.Byte)
	return &Fault{Message: message, Line: line, Column: column}
}

// convertBody converts attributes and blocks, in the order of the file.
func (c *converter) convertBody(body *hclsyntax.Body, at path) (map[string]any, *Fault) {
	out := map[string]any{}
	attributes := make([]*hclsyntax.Attribute, 0, len(body.Attributes))
	for _, attribute := range body.Attributes {
		attributes = append(attributes, attribute)
	}
	sort.Slice(attributes, func(i, j int) bool {
		return attributes[i].NameRange.Start.Byte < attributes[j].NameRange.Start.Byte
	})
	for _, attribute := range attributes {
		c.record(at.key(attribute.Name), attribute.NameRange)
		out[attribute.Name] = c.convertExpression(attribute.Expr)
	}
	located := map[path]bool{}
	for _, block := range body.Blocks {
		if fault := c.convertBlock(block, at, out, located); fault != nil {
			return nil, fault
		}
	}
	return out, nil
}

// convertBlock adds a block to the list at its type and labels. A path has the place of its first block.
func (c *converter) convertBlock(
	block *hclsyntax.Block, at path, holder map[string]any, located map[path]bool,
) *Fault {
	names := append([]string{block.Type}, block.Labels...)
	for _, name := range names[:len(names)-1] {
		at = at.key(name)
		c.recordOnce(at, block, located)
		inner, ok := holder[name].(map[string]any)
		if !ok {
			if _, taken := holder[name]; taken {
				return c.fault(otherShape, block.TypeRange)
			}
			inner = map[string]any{}
			holder[name] = inner
		}
		holder = inner
	}
	last := names[len(names)-1]
	listed, ok := holder[last].([]any)
	if _, taken := holder[last]; taken && !ok {
		return c.fault(otherShape, block.TypeRange)
	}
	at = at.key(last)
	c.recordOnce(at, block, located)
	at = at.index(len(listed))
	c.record(at, block.TypeRange)
	value, fault := c.convertBody(block.Body, at)
	if fault != nil {
		return fault
	}
	holder[last] = append(listed, value)
	return nil
}

// recordOnce records the place of a type or label, which is that of its first block.
func (c *converter) recordOnce(at path, block *hclsyntax.Block, located map[path]bool) {
	if !located[at] {
		located[at] = true
		c.record(at, block.TypeRange)
	}
}

func (c *converter) convertExpression(expression hclsyntax.Expression) any {
	switch one := expression.(type) {
	case *hclsyntax.LiteralValueExpr:
		return c.convertLiteral(one, one.Val)
	case *hclsyntax.UnaryOpExpr:
		return c.convertUnary(one)
	case *hclsyntax.TemplateExpr:
		return c.convertTemplate(one)
	case *hclsyntax.TemplateWrapExpr:
		return c.convertExpression(one.Wrapped)
	case *hclsyntax.TupleConsExpr:
		list := make([]any, 0, len(one.Exprs))
		for _, item := range one.Exprs {
			list = append(list, c.convertExpression(item))
		}
		return list
	case *hclsyntax.ObjectConsExpr:
		object := make(map[string]any, len(one.Items))
		for _, item := range one.Items {
			object[c.convertKey(item.KeyExpr)] = c.convertExpression(item.ValueExpr)
		}
		return object
	}
	return c.wrap(expression)
}

// convertLiteral is a number, a text, true, false or null.
func (c *converter) convertLiteral(expression hclsyntax.Expression, value cty.Value) any {
	switch {
	case value.IsNull():
		return nil
	case value.Type() == cty.Bool:
		return value.True()
	case value.Type() == cty.String:
		return markers.Replace(value.AsString())
	case value.Type() == cty.Number:
		return c.convertNumber(expression, value.AsBigFloat())
	}
	return c.wrap(expression)
}

// convertNumber keeps a number that JSON readers can read; others become the text of the file.
func (c *converter) convertNumber(expression hclsyntax.Expression, number *big.Float) any {
	if short, exact := number.Int64(); exact == big.Exact {
		return short
	}
	if exponent := number.MantExp(nil); exponent > largestExponent || exponent < -largestExponent {
		return c.wrap(expression)
	}
	if text := c.text(expression.Range()); plainNumber.MatchString(text) {
		return json.Number(text)
	}
	return json.Number(number.Text('f', -1))
}

// convertUnary is a negative number, or the text of an operation.
func (c *converter) convertUnary(operation *hclsyntax.UnaryOpExpr) any {
	if _, literal := operation.Val.(*hclsyntax.LiteralValueExpr); literal {
		if value, faults := operation.Value(nil); !faults.HasErrors() {
			return c.convertLiteral(operation, value)
		}
	}
	return c.wrap(operation)
}

// convertKey is a name, a text, or the text of an expression.
func (c *converter) convertKey(expression hclsyntax.Expression) string {
	if key, ok := expression.(*hclsyntax.ObjectConsKeyExpr); ok {
		if name := hcl.ExprAsKeyword(key.Wrapped); name != "" && !key.ForceNonLiteral {
			return name
		}
		expression = key.Wrapped
		if _, traversal := expression.(*hclsyntax.ScopeTraversalExpr); traversal {
			return c.text(expression.Range())
		}
	}
	return c.convertPart(expression)
}

func (c *converter) convertTemplate(template *hclsyntax.TemplateExpr) string {
	var text strings.Builder
	for _, part := range template.Parts {
		text.WriteString(c.convertPart(part))
	}
	return text.String()
}

// convertPart is a part of a template: a text, an expression in ${}, or a directive.
func (c *converter) convertPart(expression hclsyntax.Expression) string {
	switch one := expression.(type) {
	case *hclsyntax.LiteralValueExpr:
		if one.Val.IsNull() {
			return "null"
		}
		if value, err := convert.Convert(one.Val, cty.String); err == nil {
			return markers.Replace(value.AsString())
		}
	case *hclsyntax.TemplateExpr:
		return c.convertTemplate(one)
	case *hclsyntax.TemplateWrapExpr:
		return c.convertPart(one.Wrapped)
	case *hclsyntax.ConditionalExpr:
		return c.convertIf(one)
	case *hclsyntax.TemplateJoinExpr:
		if loop, ok := one.Tuple.(*hclsyntax.ForExpr); ok {
			return c.convertFor(loop)
		}
	}
	return c.wrap(expression)
}

func (c *converter) convertIf(condition *hclsyntax.ConditionalExpr) string {
	text := "%{if " + c.text(condition.Condition.Range()) + "}" + c.convertPart(condition.TrueResult)
	if otherwise := c.convertPart(condition.FalseResult); otherwise != "" {
		text += "%{else}" + otherwise
	}
	return text + "%{endif}"
}

func (c *converter) convertFor(loop *hclsyntax.ForExpr) string {
	names := loop.ValVar
	if loop.KeyVar != "" {
		names = loop.KeyVar + ", " + names
	}
	return "%{for " + names + " in " + c.text(loop.CollExpr.Range()) + "}" + c.convertPart(loop.ValExpr) + "%{endfor}"
}

func (c *converter) wrap(expression hclsyntax.Expression) string {
	return "${" + c.text(expression.Range()) + "}"
}

func (c *converter) text(at hcl.Range) string { return string(at.SliceBytes(c.source)) }
